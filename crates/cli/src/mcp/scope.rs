//! What a server may reach, and how what lies there is called.

use prontodb_core::address::{AddressError, Part, Short};
use prontodb_core::{Address, Listing, Namespace, Notation};

use crate::context::Context;
use crate::exit::Failure;

/// What stands between a scope and the names of its locks.
const BETWEEN: char = '.';

/// The part of the database that a server works in.
#[derive(Clone)]
pub struct Scope {
    /// How addresses are read there.
    pub notation: Notation,
    /// How far it goes.
    pub reach: Reach,
}

/// How far a scope goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As far as whom the server works for may go.
    Everything,
    /// The project of the defaults.
    Project,
    /// The namespace of the defaults.
    Namespace,
}

impl Scope {
    /// What the flags of a command say: `-p` a project, `-n` a namespace.
    pub fn of(cx: &Context) -> Self {
        let notation = cx.notation.clone();
        match (&cx.globals.project, &cx.globals.namespace) {
            (_, Some(_)) => Self { notation, reach: Reach::Namespace },
            (Some(_), None) => {
                Self { notation: Notation { short: Short::Addresses, ..notation }, reach: Reach::Project }
            }
            (None, None) => Self { notation, reach: Reach::Everything },
        }
    }

    /// How many parts of an address go without saying.
    pub fn known_parts(&self) -> usize {
        match self.reach {
            Reach::Everything => 0,
            Reach::Project => 1,
            Reach::Namespace => 2,
        }
    }

    /// How addresses of entries look.
    pub fn form(&self) -> String {
        self.parts(3)
    }

    /// What a prefix may be.
    pub fn prefix_form(&self) -> String {
        match self.reach {
            Reach::Namespace => "start of a key".to_owned(),
            _ => format!("{}[{}start]", self.queue_form(), self.notation.delimiter),
        }
    }

    /// How namespaces are called.
    pub fn queue_form(&self) -> String {
        self.parts(2)
    }

    fn parts(&self, count: usize) -> String {
        let parts = ["project", "namespace", "key"];
        parts[self.known_parts().min(count)..count].join(&self.notation.delimiter.to_string())
    }

    /// What it is, for whoever works there.
    pub fn described(&self) -> String {
        match self.reach {
            Reach::Everything => "the whole database".to_owned(),
            Reach::Project => format!("the project {}", self.notation.defaults.project()),
            Reach::Namespace => {
                format!("the namespace {}", self.notation.defaults.display(self.notation.delimiter))
            }
        }
    }

    /// Reads the address of an entry.
    pub fn address(&self, key: &str) -> Result<Address, Failure> {
        let address = self.notation.address(key).map_err(|error| Failure::invalid(error.to_string()))?;
        self.require(&address.namespace)?;
        Ok(address)
    }

    /// An address as it is read.
    pub fn show(&self, address: &Address) -> String {
        let (delimiter, name) = (self.notation.delimiter, address.name.as_str());
        match self.reach {
            Reach::Namespace => name.to_owned(),
            _ => format!("{}{delimiter}{name}", self.show_namespace(&address.namespace)),
        }
    }

    /// The name of a namespace as it is read.
    pub fn show_namespace(&self, namespace: &Namespace) -> String {
        match self.reach {
            Reach::Everything => namespace.display(self.notation.delimiter),
            _ => namespace.namespace().to_owned(),
        }
    }

    /// Reads what a listing covers.
    pub fn listing(&self, prefix: Option<&str>) -> Result<Listing, Failure> {
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let listing = match (self.reach, prefix) {
            (Reach::Project, None) => Ok(Listing::Project(self.project().to_owned())),
            (Reach::Project, Some(prefix)) => {
                // What follows the project in an address of the whole database.
                self.notation.listing(Some(&format!("{}{}{prefix}", self.project(), self.notation.delimiter)))
            }
            (_, prefix) => self.notation.listing(prefix),
        };
        listing.map_err(|error| Failure::invalid(error.to_string()))
    }

    /// The namespace that a queue is; one that is the whole scope needs no name.
    pub fn queue(&self, name: Option<&str>) -> Result<Namespace, Failure> {
        let invalid = |error: AddressError| Failure::invalid(error.to_string());
        match (self.reach, name) {
            (Reach::Namespace, None) => Ok(self.notation.defaults.clone()),
            (Reach::Namespace, Some(_)) => Err(Failure::invalid(format!(
                "this server has one queue, {}; leave out its name",
                self.described()
            ))),
            (_, None) => Err(Failure::invalid("the queue is missing: the name of a namespace")),
            (Reach::Everything, Some(name)) => {
                Namespace::parse(name, self.notation.delimiter).map_err(invalid)
            }
            (Reach::Project, Some(name)) => {
                self.notation.refuse_delimiter(Part::Namespace, name).map_err(invalid)?;
                Namespace::new(self.project(), name).map_err(invalid)
            }
        }
    }

    /// The name in the database of a lock that is called so here: each scope has its own, whatever delimiter it is written with.
    pub fn lock(&self, name: &str) -> Result<String, Failure> {
        match self.lock_prefix() {
            prefix if prefix.is_empty() => Ok(name.to_owned()),
            prefix if !name.contains(BETWEEN) => Ok(format!("{prefix}{name}")),
            _ => Err(Failure::invalid(format!("names of locks of {} hold no `{BETWEEN}`", self.described()))),
        }
    }

    /// What a lock of the database is called here, if it is one of this scope.
    pub fn own_lock<'n>(&self, name: &'n str) -> Option<&'n str> {
        let prefix = self.lock_prefix();
        name.strip_prefix(&prefix).filter(|name| prefix.is_empty() || !name.contains(BETWEEN))
    }

    /// What the names of its locks begin with.
    fn lock_prefix(&self) -> String {
        let (project, namespace) = (of_lock(self.project()), of_lock(self.notation.defaults.namespace()));
        match self.reach {
            Reach::Everything => String::new(),
            Reach::Project => format!("{project}{BETWEEN}"),
            Reach::Namespace => format!("{project}{BETWEEN}{namespace}{BETWEEN}"),
        }
    }

    /// The project that it is in, unless it is everything.
    pub fn only_project(&self) -> Option<&str> {
        (self.reach != Reach::Everything).then(|| self.project())
    }

    fn project(&self) -> &str {
        self.notation.defaults.project()
    }

    /// Whether a namespace lies in it.
    pub fn covers(&self, namespace: &Namespace) -> bool {
        match self.reach {
            Reach::Everything => true,
            Reach::Project => namespace.project() == self.project(),
            Reach::Namespace => *namespace == self.notation.defaults,
        }
    }

    /// Refuses what lies outside.
    pub fn require(&self, namespace: &Namespace) -> Result<(), Failure> {
        if self.covers(namespace) {
            return Ok(());
        }
        let what =
            format!("{} is outside of {}", namespace.display(self.notation.delimiter), self.described());
        Err(Failure::invalid(format!("{what}, where this server works; addresses are {}", self.form())))
    }
}

/// A part of an address in the name of a lock; in one that is written with another delimiter may be what stands between parts.
fn of_lock(part: &str) -> String {
    part.replace('%', "%25").replace(BETWEEN, "%2E")
}
