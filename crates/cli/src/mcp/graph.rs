//! A knowledge graph in a namespace: an entry for each entity and each relation.
//!
//! Many write it at once, so each operation is one transaction, and no two of them touch what they need not.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{Condition, Query, SetOptions, Sink, Writer};
use prontodb_core::{Address, EntryName, Error, ErrorKind, Millis, Namespace, Result, Store};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output;

/// What keys of entities and of relations begin with.
const ENTITY: &str = "entity/";
const RELATION: &str = "relation/";
/// Names that make longer keys are hashed; a key has room for the hash.
const MOST_BYTES: usize = 400;

/// Somebody or something that is known about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// What it is called; no two have one name.
    pub name: String,
    /// What it is.
    pub entity_type: String,
    /// What is known of it.
    pub observations: Vec<String>,
}

/// What one has to do with another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// The name of the one.
    pub from: String,
    /// The name of the other.
    pub to: String,
    /// What it is.
    pub relation_type: String,
}

/// Observations of an entity to add.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addition {
    /// Which entity.
    pub entity_name: String,
    /// What is known of it by now.
    pub contents: Vec<String>,
}

/// Observations of an entity that were added.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    entity_name: String,
    added_observations: Vec<String>,
}

/// Observations of an entity to remove.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Which entity.
    pub entity_name: String,
    /// What is known of it no more.
    pub observations: Vec<String>,
}

/// A graph, or a part of one, in the order in which it came into being.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// The entities.
    pub entities: Vec<Entity>,
    /// The relations.
    pub relations: Vec<Relation>,
}

/// A thing of the graph as it is kept: with its place among those that came with it.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    #[serde(flatten)]
    thing: T,
    #[serde(default, skip_serializing_if = "is_first")]
    place: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over like this")]
fn is_first(place: &usize) -> bool {
    *place == 0
}

/// A thing that has a key.
trait Thing: Clone + Serialize {
    fn key(&self) -> String;
}

impl Thing for Entity {
    fn key(&self) -> String {
        entity_key(&self.name)
    }
}

impl Thing for Relation {
    fn key(&self) -> String {
        key(RELATION, &[&self.from, &self.relation_type, &self.to])
    }
}

fn entity_key(name: &str) -> String {
    key(ENTITY, &[name])
}

/// A key made of texts of any kind, which no other texts make.
fn key(start: &str, parts: &[&str]) -> String {
    let escaped: Vec<_> = parts.iter().map(|part| escaped(part)).collect();
    let whole = format!("{start}{}", escaped.join("/"));
    if whole.len() <= MOST_BYTES {
        return whole;
    }
    // A tilde is escaped in names, so no name makes this.
    format!("{start}~{}", blake3::hash(escaped.join("/").as_bytes()))
}

/// A text without what no key may hold, nor what has a meaning in keys or addresses.
fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    let mut last = ' ';
    for c in part.chars() {
        // Two underscores begin a context.
        let is_plain = c.is_alphanumeric() || c == ' ' || c == '-' || c == '_' && last != '_';
        if is_plain {
            text.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        }
        last = c;
    }
    text
}

fn address(namespace: &Namespace, key: &str) -> Result<Address> {
    Ok(Address { namespace: namespace.clone(), name: EntryName::parse(key)? })
}

impl Graph {
    /// The whole graph as it is at one moment.
    ///
    /// # Errors
    /// Those of reading; [`ErrorKind::Damaged`] where something else was put in its place.
    pub fn read(store: &Store, namespace: &Namespace) -> Result<Self> {
        let mut found = Found::default();
        let query = Query { fields: Fields::All, ..Query::default() };
        store.list_at_once(namespace, &query, &mut found)?;
        found.graph()
    }

    /// What has to do with the entities that `is_wanted` chooses.
    #[must_use]
    pub fn around(self, is_wanted: impl Fn(&Entity) -> bool) -> Self {
        let entities: Vec<_> = self.entities.into_iter().filter(is_wanted).collect();
        let is_among = |name: &str| entities.iter().any(|entity| entity.name == name);
        let relations = self.relations.into_iter();
        let relations =
            relations.filter(|relation| is_among(&relation.from) || is_among(&relation.to)).collect();
        Self { entities, relations }
    }

    /// Those entities whose name, type or observations hold `text`, in letters of either case, and their relations.
    #[must_use]
    pub fn search(self, text: &str) -> Self {
        let text = text.to_lowercase();
        let holds = |other: &String| other.to_lowercase().contains(&text);
        self.around(|entity| {
            holds(&entity.name) || holds(&entity.entity_type) || entity.observations.iter().any(holds)
        })
    }
}

/// A graph on its way out of the store, each thing with when it came into being.
#[derive(Default)]
struct Found {
    entities: Vec<(Millis, Kept<Entity>)>,
    relations: Vec<(Millis, Kept<Relation>)>,
    /// A key whose value is something else.
    strange: Option<String>,
}

impl Found {
    fn graph(mut self) -> Result<Graph> {
        if let Some(key) = self.strange {
            let what = format!("{key} holds nothing that belongs there; it was changed by other means");
            return Err(Error::new(ErrorKind::Damaged, what));
        }
        // What came in one call has one moment, and its places; where many came at a moment, their names decide.
        self.entities.sort_by_key(|(created, kept)| (*created, kept.place));
        self.relations.sort_by_key(|(created, kept)| (*created, kept.place));
        Ok(Graph {
            entities: self.entities.into_iter().map(|(_, kept)| kept.thing).collect(),
            relations: self.relations.into_iter().map(|(_, kept)| kept.thing).collect(),
        })
    }
}

impl Sink for Found {
    fn row(&mut self, row: Row<'_>) {
        let created = row.head.map_or(Millis(0), |head| head.created);
        let is_read = if row.name.starts_with(ENTITY) {
            serde_json::from_slice(row.value).map(|kept| self.entities.push((created, kept)))
        } else if row.name.starts_with(RELATION) {
            serde_json::from_slice(row.value).map(|kept| self.relations.push((created, kept)))
        } else {
            // The namespace may be used for more.
            Ok(())
        };
        if is_read.is_err() {
            self.strange.get_or_insert_with(|| row.name.to_owned());
        }
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Adds those of `things` that are not there yet, and says which.
fn create<T: Thing>(writer: &mut Writer<'_>, namespace: &Namespace, things: &[T]) -> Result<Vec<T>> {
    let mut created = Vec::new();
    for (place, thing) in things.iter().enumerate() {
        let address = address(namespace, &thing.key())?;
        if writer.get(&address)?.is_none() {
            put(writer, &address, &Kept { thing, place })?;
            created.push(thing.clone());
        }
    }
    Ok(created)
}

fn put<T: Serialize>(writer: &mut Writer<'_>, address: &Address, kept: &Kept<T>) -> Result<()> {
    let value =
        serde_json::to_vec(kept).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
    writer.set(address, &value, &SetOptions::default()).map(drop)
}

/// Adds entities whose names are free, and says which.
pub fn create_entities(store: &Store, namespace: &Namespace, entities: &[Entity]) -> Result<Vec<Entity>> {
    store.write(|writer| create(writer, namespace, entities))
}

/// Adds relations that are not there, and says which.
pub fn create_relations(
    store: &Store,
    namespace: &Namespace,
    relations: &[Relation],
) -> Result<Vec<Relation>> {
    store.write(|writer| create(writer, namespace, relations))
}

/// Adds observations that are not there to entities, which all have to be, and says which.
pub fn add_observations(store: &Store, namespace: &Namespace, additions: &[Addition]) -> Result<Vec<Added>> {
    store.write(|writer| additions.iter().map(|addition| add(writer, namespace, addition)).collect())
}

fn add(writer: &mut Writer<'_>, namespace: &Namespace, addition: &Addition) -> Result<Added> {
    let Addition { entity_name, contents } = addition;
    let address = address(namespace, &entity_key(entity_name))?;
    let Some(mut kept) = entity(writer, &address)? else {
        return Err(Error::new(ErrorKind::Invalid, format!("Entity with name {entity_name} not found")));
    };
    let known = &kept.thing.observations;
    let added: Vec<_> = contents.iter().filter(|content| !known.contains(content)).cloned().collect();
    if !added.is_empty() {
        kept.thing.observations.extend_from_slice(&added);
        put(writer, &address, &kept)?;
    }
    Ok(Added { entity_name: entity_name.clone(), added_observations: added })
}

fn entity(writer: &mut Writer<'_>, address: &Address) -> Result<Option<Kept<Entity>>> {
    let Some(record) = writer.get(address)? else { return Ok(None) };
    let read = serde_json::from_slice(&record.value);
    read.map(Some).map_err(|_| {
        let what = format!("{} holds no entity; it was changed by other means", address.name.as_str());
        Error::new(ErrorKind::Damaged, what)
    })
}

/// Removes entities, and all relations that they have.
pub fn delete_entities(store: &Store, namespace: &Namespace, names: &[String]) -> Result<()> {
    store.write(|writer| {
        let mut found = Found::default();
        let query = Query { prefix: RELATION.to_owned(), fields: Fields::All, ..Query::default() };
        writer.list(namespace, &query, &mut found)?;
        let relations = found.graph()?.relations.into_iter();
        let theirs =
            relations.filter(|relation| names.contains(&relation.from) || names.contains(&relation.to));
        let keys: Vec<_> =
            names.iter().map(|name| entity_key(name)).chain(theirs.map(|it| it.key())).collect();
        delete(writer, namespace, &keys)
    })
}

fn delete(writer: &mut Writer<'_>, namespace: &Namespace, keys: &[String]) -> Result<()> {
    keys.iter().try_for_each(|key| writer.delete(&address(namespace, key)?, &Condition::default()).map(drop))
}

/// Removes observations of entities, as far as they are there.
pub fn delete_observations(store: &Store, namespace: &Namespace, deletions: &[Deletion]) -> Result<()> {
    store.write(|writer| {
        for Deletion { entity_name, observations } in deletions {
            let address = address(namespace, &entity_key(entity_name))?;
            let Some(mut kept) = entity(writer, &address)? else { continue };
            let before = kept.thing.observations.len();
            kept.thing.observations.retain(|known| !observations.contains(known));
            if kept.thing.observations.len() < before {
                put(writer, &address, &kept)?;
            }
        }
        Ok(())
    })
}

/// Removes relations, as far as they are there.
pub fn delete_relations(store: &Store, namespace: &Namespace, relations: &[Relation]) -> Result<()> {
    let keys: Vec<_> = relations.iter().map(Thing::key).collect();
    store.write(|writer| delete(writer, namespace, &keys))
}

/// A line of the file of the reference memory server.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Entity(Entity),
    Relation(Relation),
    #[serde(other)]
    Other,
}

/// Takes over the file of the reference memory server: what is not there yet is added, observations too.
pub fn import(cx: &Context, namespace: &Namespace, path: &Path) -> std::result::Result<Code, Failure> {
    let graph = read_file(path)?;
    let store = cx.open_to_write()?;
    let imported = store.write(|writer| {
        create(writer, namespace, &graph.entities)?;
        for Entity { name, observations, .. } in &graph.entities {
            let addition = Addition { entity_name: name.clone(), contents: observations.clone() };
            add(writer, namespace, &addition)?;
        }
        create(writer, namespace, &graph.relations)
    });
    imported.map_err(|error| cx.with_hint(error.into()))?;
    output::note(&format!(
        "{} and {} of {} are in {}",
        output::counted(graph.entities.len() as u64, "entity", "entities"),
        output::counted(graph.relations.len() as u64, "relation", "relations"),
        path.display(),
        namespace.display(cx.notation.delimiter)
    ));
    Ok(Code::Done)
}

fn read_file(path: &Path) -> std::result::Result<Graph, Failure> {
    let cannot = |error: std::io::Error| Failure::io(format_args!("cannot read {}", path.display()), &error);
    let file = BufReader::new(std::fs::File::open(path).map_err(cannot)?);
    let mut graph = Graph::default();
    for (number, line) in (1..).zip(file.lines()) {
        let line = line.map_err(cannot)?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(Line::Entity(entity)) => graph.entities.push(entity),
            Ok(Line::Relation(relation)) => graph.relations.push(relation),
            // The reference server passes over these, too.
            Ok(Line::Other) => {}
            Err(error) => {
                let what = format!("{} line {number}: {error}", path.display());
                return Err(
                    Failure::invalid(what).hint("nothing was taken over; mend the line, or leave it out")
                );
            }
        }
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_names_have_one_key() {
        let long = "x".repeat(600);
        let names = [
            "",
            "a",
            "a/b",
            "a%2Fb",
            "a.b",
            "a__b",
            "a_b",
            "_",
            "__",
            "___",
            "a__",
            "%",
            "~",
            "a\n",
            "日本",
            "É",
            &long,
            &format!("{long}y"),
        ];
        let mut keys = BTreeSet::new();
        for name in names {
            let key = entity_key(name);
            assert!(name.is_empty() || EntryName::parse(&key).is_ok(), "{name:?} {key}");
            assert_eq!(EntryName::parse(&key).unwrap().context(), None, "{name:?} {key}");
            assert!(!key.contains('.') && key.len() <= 512, "{key}");
            assert!(keys.insert(key), "{name:?}");
        }
        for [from, kind, to] in
            [["a", "b/c", "d"], ["a/b", "c", "d"], ["a", "b", "c/d"], ["a", "", "d"], ["", "a", "d"]]
        {
            assert!(keys.insert(key(RELATION, &[from, kind, to])), "{from} {kind} {to}");
        }
    }

    #[test]
    fn the_graph_has_the_order_in_which_it_came_into_being() {
        let (store, namespace) = (Store::in_memory(), Namespace::new("memory", "graph").unwrap());
        let entity = |name: &str| Entity {
            name: name.to_owned(),
            entity_type: "letter".to_owned(),
            observations: vec![format!("is {name}")],
        };
        let created = create_entities(&store, &namespace, &["c", "a", "b", "a"].map(entity)).unwrap();
        assert_eq!(created, ["c", "a", "b"].map(entity));
        let relation = |from: &str, to: &str| Relation {
            from: from.to_owned(),
            to: to.to_owned(),
            relation_type: "precedes".to_owned(),
        };
        create_relations(&store, &namespace, &[relation("b", "c"), relation("a", "b")]).unwrap();
        let graph = Graph::read(&store, &namespace).unwrap();
        assert_eq!(graph.entities, ["c", "a", "b"].map(entity));
        assert_eq!(graph.relations, [relation("b", "c"), relation("a", "b")]);
        let found = graph.search("IS A");
        assert_eq!((found.entities, found.relations), (vec![entity("a")], vec![relation("a", "b")]));
        delete_entities(&store, &namespace, &["b".to_owned()]).unwrap();
        let graph = Graph::read(&store, &namespace).unwrap();
        assert_eq!((graph.entities, graph.relations), (["c", "a"].map(entity).to_vec(), Vec::new()));
    }
}
