//! The tools of the reference memory server, with the names, arguments and answers that they have there, so that one can be
//! put in the place of the other. What they are about is in [`graph`].

use std::sync::Arc;

use rmcp::model::{
    CallToolResult, ContentBlock, ErrorData, JsonObject, Resource, ResourceContents, Tool, ToolAnnotations,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calls::Ticket;
use super::desk::{Desk, Jobs, Open};
use super::graph::{self, Addition, Deletion, Entity, Graph, Relation};
use super::scope::Scope;
use super::server::refused;
use super::subscriptions::Subject;
use crate::exit::Failure;

/// The URI of the whole graph.
const URI: &str = "memory://knowledge-graph";

/// What a call answers: for a model to read, and for a program.
struct Told {
    text: String,
    structured: Value,
}

type Run = Box<dyn FnOnce(&mut Desk) -> Result<Told, Failure> + Send>;

/// A call whose arguments have been read, or what is told where they could not be.
pub struct Call(Result<Run, String>);

/// A tool: its name and title, what it is about, and what it does.
struct Entry {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    effect: Effect,
    /// What it takes, and what it answers.
    schemas: fn() -> [Value; 2],
    read: fn(&[u8]) -> serde_json::Result<Run>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Adds,
    Removes,
}

static TOOLS: &[Entry] = &[
    Entry {
        name: "create_entities",
        title: "Create Entities",
        about: "Create several new entities in the knowledge graph; those whose name is taken are left as they are",
        effect: Effect::Adds,
        schemas: || {
            [object(json!({"entities": list(entity())})), object(json!({"entities": list(entity())}))]
        },
        read: |arguments| {
            read(
                arguments,
                |Entities { entities }, open| {
                    let created = graph::create_entities(open.store, open.graph(), &entities)?;
                    Ok(Told::of(&created, "entities"))
                },
                true,
            )
        },
    },
    Entry {
        name: "create_relations",
        title: "Create Relations",
        about: "Create several new relations between entities in the knowledge graph, in the active voice",
        effect: Effect::Adds,
        schemas: || {
            [object(json!({"relations": list(relation())})), object(json!({"relations": list(relation())}))]
        },
        read: |arguments| {
            read(
                arguments,
                |Relations { relations }, open| {
                    let created = graph::create_relations(open.store, open.graph(), &relations)?;
                    Ok(Told::of(&created, "relations"))
                },
                true,
            )
        },
    },
    Entry {
        name: "add_observations",
        title: "Add Observations",
        about: "Add new observations to entities that are in the knowledge graph",
        effect: Effect::Adds,
        schemas: || {
            let addition = json!({"entityName": text("The name of the entity"), "contents": list(text("An observation"))});
            let added = json!({"entityName": text("The name of the entity"), "addedObservations": list(text("An observation"))});
            [
                object(json!({"observations": list(object(addition))})),
                object(json!({"results": list(object(added))})),
            ]
        },
        read: |arguments| {
            read(
                arguments,
                |Additions { observations }, open| {
                    let added = graph::add_observations(open.store, open.graph(), &observations)?;
                    Ok(Told::of(&added, "results"))
                },
                true,
            )
        },
    },
    Entry {
        name: "delete_entities",
        title: "Delete Entities",
        about: "Delete several entities and all their relations from the knowledge graph",
        effect: Effect::Removes,
        schemas: || [object(json!({"entityNames": list(text("The name of an entity"))})), success()],
        read: |arguments| {
            read(
                arguments,
                |EntityNames { entity_names }, open| {
                    graph::delete_entities(open.store, open.graph(), &entity_names)?;
                    Ok(Told::success("Entities deleted successfully"))
                },
                true,
            )
        },
    },
    Entry {
        name: "delete_observations",
        title: "Delete Observations",
        about: "Delete observations of entities in the knowledge graph",
        effect: Effect::Removes,
        schemas: || {
            let deletion = json!({"entityName": text("The name of the entity"), "observations": list(text("An observation"))});
            [object(json!({"deletions": list(object(deletion))})), success()]
        },
        read: |arguments| {
            read(
                arguments,
                |Deletions { deletions }, open| {
                    graph::delete_observations(open.store, open.graph(), &deletions)?;
                    Ok(Told::success("Observations deleted successfully"))
                },
                true,
            )
        },
    },
    Entry {
        name: "delete_relations",
        title: "Delete Relations",
        about: "Delete several relations from the knowledge graph",
        effect: Effect::Removes,
        schemas: || [object(json!({"relations": list(relation())})), success()],
        read: |arguments| {
            read(
                arguments,
                |Relations { relations }, open| {
                    graph::delete_relations(open.store, open.graph(), &relations)?;
                    Ok(Told::success("Relations deleted successfully"))
                },
                true,
            )
        },
    },
    Entry {
        name: "read_graph",
        title: "Read Graph",
        about: "Read the whole knowledge graph",
        effect: Effect::Reads,
        schemas: || [json!({"type": "object", "properties": {}}), part()],
        read: |arguments| {
            read(
                arguments,
                |Nothing {}, open| Ok(Told::graph(&Graph::read(open.store, open.graph())?)),
                false,
            )
        },
    },
    Entry {
        name: "search_nodes",
        title: "Search Nodes",
        about: "Find entities by a text in their name, type or observations, with their relations",
        effect: Effect::Reads,
        schemas: || [object(json!({"query": text("The text, in letters of either case")})), part()],
        read: |arguments| {
            read(
                arguments,
                |Search { query }, open| {
                    Ok(Told::graph(&Graph::read(open.store, open.graph())?.search(&query)))
                },
                false,
            )
        },
    },
    Entry {
        name: "open_nodes",
        title: "Open Nodes",
        about: "Read entities by their names, with their relations",
        effect: Effect::Reads,
        schemas: || [object(json!({"names": list(text("The name of an entity"))})), part()],
        read: |arguments| {
            read(
                arguments,
                |Names { names }, open| {
                    let graph = Graph::read(open.store, open.graph())?;
                    Ok(Told::graph(&graph.around(|entity| names.contains(&entity.name))))
                },
                false,
            )
        },
    },
];

#[derive(Deserialize)]
struct Entities {
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
struct Relations {
    relations: Vec<Relation>,
}

#[derive(Deserialize)]
struct Additions {
    observations: Vec<Addition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntityNames {
    entity_names: Vec<String>,
}

#[derive(Deserialize)]
struct Deletions {
    deletions: Vec<Deletion>,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Search {
    query: String,
}

#[derive(Deserialize)]
struct Names {
    names: Vec<String>,
}

/// Reads the arguments of a call, and makes of them what is to be done.
fn read<A: DeserializeOwned + Send + 'static>(
    arguments: &[u8],
    work: fn(A, &Open<'_>) -> prontodb_core::Result<Told>,
    writes: bool,
) -> serde_json::Result<Run> {
    let arguments: A = serde_json::from_slice(arguments)?;
    Ok(Box::new(move |desk| {
        let open = if writes { desk.writing(None)? } else { desk.reading()? };
        let worked = work(arguments, &open);
        worked.map_err(|error| open.cx.with_hint(error.into()))
    }))
}

impl Told {
    fn of<T: Serialize>(answer: &T, name: &str) -> Self {
        // These types are JSON by themselves.
        let value = serde_json::to_value(answer).unwrap_or_default();
        let text = serde_json::to_string_pretty(answer).unwrap_or_default();
        Self { text, structured: json!({ name: value }) }
    }

    fn graph(graph: &Graph) -> Self {
        let structured = serde_json::to_value(graph).unwrap_or_default();
        Self { text: serde_json::to_string_pretty(graph).unwrap_or_default(), structured }
    }

    fn success(message: &str) -> Self {
        Self { text: message.to_owned(), structured: json!({"success": true, "message": message}) }
    }
}

/// Reads a call of a tool; what is wrong with it is told as the reference server does.
pub fn call(name: &str, arguments: &[u8], read_only: bool) -> Call {
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name && is_there(tool, read_only)) else {
        return Call(Err(format!("MCP error -32602: Tool {name} not found")));
    };
    let invalid = "MCP error -32602: Input validation error: Invalid arguments for tool";
    Call((tool.read)(arguments).map_err(|error| format!("{invalid} {name}: {error}")))
}

/// Does what was asked for.
pub async fn answer(jobs: &Jobs, ticket: Option<&Ticket>, Call(call): Call) -> CallToolResult {
    let run = match call {
        Ok(run) => run,
        Err(why) => return CallToolResult::error(vec![ContentBlock::text(why)]),
    };
    match jobs.ask_for(ticket, run).await {
        Ok(Told { text, structured }) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.is_error = None;
            result.structured_content = Some(structured);
            result
        }
        Err(failure) => CallToolResult::error(vec![ContentBlock::text(failure.message)]),
    }
}

/// What is told of the tools.
pub fn definitions(read_only: bool) -> Vec<Tool> {
    TOOLS.iter().filter(|tool| is_there(tool, read_only)).map(Entry::definition).collect()
}

fn is_there(tool: &Entry, read_only: bool) -> bool {
    tool.effect == Effect::Reads || !read_only
}

impl Entry {
    fn definition(&self) -> Tool {
        let [input, output] = (self.schemas)().map(|schema| match schema {
            Value::Object(schema) => schema,
            _ => JsonObject::new(),
        });
        let mut tool = Tool::new(self.name, self.about, input);
        tool.title = Some(self.title.to_owned());
        tool.output_schema = Some(Arc::new(output));
        let annotations = ToolAnnotations::new()
            .read_only(self.effect == Effect::Reads)
            .destructive(self.effect == Effect::Removes)
            .idempotent(self.effect != Effect::Adds)
            .open_world(false);
        tool.annotations = Some(annotations);
        tool
    }
}

/// The whole graph, as a resource.
pub fn resource() -> Resource {
    Resource::new(URI, "knowledge-graph")
        .with_title("Knowledge Graph")
        .with_description("The whole knowledge graph, with all entities and relations")
        .with_mime_type("application/json")
}

/// What is at a URI.
pub async fn read_resource(jobs: &Jobs, uri: &str) -> Result<ResourceContents, ErrorData> {
    require(uri).map_err(|failure| refused(&failure))?;
    let graph = jobs.ask(|desk| {
        let open = desk.reading()?;
        Ok(Told::graph(&Graph::read(open.store, open.graph())?))
    });
    let graph = graph.await.map_err(|failure| refused(&failure))?;
    Ok(ResourceContents::text(graph.text, URI).with_mime_type("application/json"))
}

/// What a client may subscribe to by a URI: the namespace that the graph is kept in.
pub fn watched(scope: &Scope, uri: &str) -> Result<Subject, Failure> {
    require(uri)?;
    Ok(Subject::all_of(scope.notation.defaults.clone()))
}

fn require(uri: &str) -> Result<(), Failure> {
    match uri {
        URI => Ok(()),
        _ => Err(Failure::invalid(format!("Resource {uri} not found; there is {URI}"))),
    }
}

/// The schema of an object that has all of these.
fn object(properties: Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(JsonObject::keys).cloned().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn entity() -> Value {
    object(json!({
        "name": text("The name of the entity"),
        "entityType": text("The type of the entity"),
        "observations": list(text("What is known of the entity")),
    }))
}

fn relation() -> Value {
    object(json!({
        "from": text("The name of the entity where the relation starts"),
        "to": text("The name of the entity where the relation ends"),
        "relationType": text("The type of the relation"),
    }))
}

/// The schema of a part of the graph.
fn part() -> Value {
    object(json!({"entities": list(entity()), "relations": list(relation())}))
}

fn success() -> Value {
    object(json!({"success": {"type": "boolean"}, "message": {"type": "string"}}))
}
