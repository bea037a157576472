use std::ffi::OsString;

use prontodb_core::store::Condition;

use crate::commands::Run;
use crate::commands::del::tell_present;
use crate::commands::get::missing;
use crate::confirm::confirm;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Remove an entry, after a question
///
/// Asks on the terminal; where there is none, --force has to say that it is meant. An entry that is missing exits with 2. `del`
/// asks nothing.
#[derive(clap::Args)]
pub struct Drop {
    /// What to remove
    address: Option<OsString>,

    /// Do not ask
    #[arg(long)]
    force: bool,

    /// Print the address of what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Run for Drop {
    const CHANGES_ENTRIES: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let address = cx.take_only_address(self.address.as_slice())?;
        if self.dry_run {
            return tell_present(cx, &[address], true).map(|()| Code::Done);
        }
        let mut store = cx.open_existing()?;
        if store.head(&address).map_err(|error| cx.with_hint(error.into()))?.is_none() {
            return Err(missing(cx, &[address]));
        }
        confirm(&format!("Remove {}?", cx.show(&address)), self.force)?;
        // An answer may have taken long.
        store.renew_identity().map_err(|error| cx.with_hint(error.into()))?;
        let removed = store.write(|writer| writer.delete(&address, &Condition::default()));
        match removed.map_err(|error| cx.with_hint(error.into()))? {
            true => Ok(Code::Done),
            false => Err(missing(cx, &[address])),
        }
    }
}
