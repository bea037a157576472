//! The tools of the reference memory server.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::{Session, server};
use crate::common::{refused, sandbox};

fn entity(name: &str, observations: &[&str]) -> Value {
    json!({"name": name, "entityType": "person", "observations": observations})
}

/// Calls a tool of the memory server: the text, and the structured answer.
#[track_caller]
fn remember(session: &mut Session, tool: &str, arguments: Value) -> (String, Value) {
    let result = session.ask("tools/call", json!({"name": tool, "arguments": arguments}));
    assert!(result["isError"].is_null(), "{result}");
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["structuredContent"].clone())
}

#[test]
fn a_memory_has_the_tools_and_answers_of_the_reference() {
    let s = sandbox();
    let mut session = server(&s, &["--memory"]);
    let tools = session.ask("tools/list", json!({}));
    let names: Vec<_> =
        tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "create_entities",
            "create_relations",
            "add_observations",
            "delete_entities",
            "delete_observations",
            "delete_relations",
            "read_graph",
            "search_nodes",
            "open_nodes"
        ]
    );
    let created = remember(
        &mut session,
        "create_entities",
        json!({"entities": [entity("Ann", &["sings"]), entity("Bob", &[])]}),
    );
    assert_eq!(
        created.0,
        "[\n  {\n    \"name\": \"Ann\",\n    \"entityType\": \"person\",\n    \"observations\": [\n      \"sings\"\n    ]\n  },\n  {\n    \"name\": \"Bob\",\n    \"entityType\": \"person\",\n    \"observations\": []\n  }\n]"
    );
    assert_eq!(created.1, json!({"entities": [entity("Ann", &["sings"]), entity("Bob", &[])]}));
    let again = remember(
        &mut session,
        "create_entities",
        json!({"entities": [entity("Ann", &["other"]), entity("Zoë", &["x"])]}),
    );
    assert_eq!(again.1, json!({"entities": [entity("Zoë", &["x"])]}));
    let knows = json!({"from": "Ann", "to": "Bob", "relationType": "knows"});
    let made = remember(&mut session, "create_relations", json!({"relations": [knows]}));
    assert_eq!(made.1, json!({"relations": [knows]}));
    assert_eq!(
        remember(&mut session, "create_relations", json!({"relations": [knows]})).1,
        json!({"relations": []})
    );
    let added = remember(
        &mut session,
        "add_observations",
        json!({"observations": [{"entityName": "Bob", "contents": ["runs", "DANCES"]}]}),
    );
    assert_eq!(added.1, json!({"results": [{"entityName": "Bob", "addedObservations": ["runs", "DANCES"]}]}));
    let missing = json!({"observations": [{"entityName": "Bob", "contents": ["y"]}, {"entityName": "Eve", "contents": ["x"]}]});
    assert_eq!(
        session.call("add_observations", missing),
        (true, "Entity with name Eve not found".to_owned())
    );
    let graph = remember(&mut session, "read_graph", json!({}));
    let all = json!({"entities": [entity("Ann", &["sings"]), entity("Bob", &["runs", "DANCES"]), entity("Zoë", &["x"])], "relations": [knows]});
    assert_eq!(graph.1, all);
    assert_eq!(serde_json::from_str::<Value>(&graph.0).unwrap(), all);
    let found = remember(&mut session, "search_nodes", json!({"query": "dances"}));
    assert_eq!(found.1, json!({"entities": [entity("Bob", &["runs", "DANCES"])], "relations": [knows]}));
    let opened = remember(&mut session, "open_nodes", json!({"names": ["Zoë", "Nobody"]}));
    assert_eq!(opened.1, json!({"entities": [entity("Zoë", &["x"])], "relations": []}));
    let deleted = remember(
        &mut session,
        "delete_observations",
        json!({"deletions": [{"entityName": "Bob", "observations": ["runs"]}, {"entityName": "Eve", "observations": []}]}),
    );
    assert_eq!(
        deleted,
        (
            "Observations deleted successfully".to_owned(),
            json!({"success": true, "message": "Observations deleted successfully"})
        )
    );
    remember(
        &mut session,
        "delete_relations",
        json!({"relations": [{"from": "Bob", "to": "Ann", "relationType": "knows"}]}),
    );
    let resource = session.ask("resources/read", json!({"uri": "memory://knowledge-graph"}));
    let text = resource["contents"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["relations"], json!([knows]));
    remember(&mut session, "delete_entities", json!({"entityNames": ["Ann"]}));
    let rest = remember(&mut session, "read_graph", json!({"unknown": 1})).1;
    assert_eq!(
        rest,
        json!({"entities": [entity("Bob", &["DANCES"]), entity("Zoë", &["x"])], "relations": []})
    );
    for (tool, arguments) in [
        ("create_entities", json!({})),
        ("create_entities", json!({"entities": [{"name": "x"}]})),
        ("open_nodes", json!({"names": "x"})),
        ("no_such_tool", json!({})),
    ] {
        let (failed, text) = session.call(tool, arguments);
        assert!(failed && text.starts_with("MCP error -32602: "), "{text}");
    }
    session.end();
    s.run(["keys", "memory.graph"]).prints("entity/Bob\nentity/Zoë\n");
}

#[test]
fn agents_that_remember_at_once_merge_what_they_know() {
    let s = sandbox();
    thread::scope(|scope| {
        for agent in 0..8 {
            let s = &s;
            scope.spawn(move || {
                let mut session = server(s, &["--memory", "-p", "team", "-n", "mind"]);
                remember(&mut session, "create_entities", json!({"entities": [entity("shared", &[])]}));
                for n in 0..10 {
                    let name = format!("agent {agent} thing {n}");
                    remember(
                        &mut session,
                        "create_entities",
                        json!({"entities": [entity(&name, &["made"])]}),
                    );
                    remember(
                        &mut session,
                        "add_observations",
                        json!({"observations": [{"entityName": "shared", "contents": [name]}]}),
                    );
                    remember(
                        &mut session,
                        "create_relations",
                        json!({"relations": [{"from": name, "to": "shared", "relationType": "is part of"}]}),
                    );
                }
                session.end();
            });
        }
    });
    let mut session = server(&s, &["--memory", "-p", "team", "-n", "mind"]);
    let graph = remember(&mut session, "read_graph", json!({})).1;
    assert_eq!(graph["entities"].as_array().unwrap().len(), 81);
    assert_eq!(graph["relations"].as_array().unwrap().len(), 80);
    let shared = remember(&mut session, "open_nodes", json!({"names": ["shared"]})).1;
    assert_eq!(shared["entities"][0]["observations"].as_array().unwrap().len(), 80);
    session.end();
}

#[test]
fn names_of_any_kind_are_remembered() {
    let s = sandbox();
    let long = "long ".repeat(300);
    let names = ["a.b.c", "a__b", "a/b", "", "line\nbreak", "'; DROP TABLE entries; --", "%41", "🗝", &long];
    let mut session = server(&s, &["--memory"]);
    let entities: Vec<_> = names.iter().map(|name| entity(name, &[])).collect();
    remember(&mut session, "create_entities", json!({"entities": entities}));
    assert_eq!(remember(&mut session, "read_graph", json!({})).1["entities"], json!(entities));
    remember(&mut session, "delete_entities", json!({"entityNames": names}));
    assert_eq!(remember(&mut session, "read_graph", json!({})).1["entities"], json!([]));
    session.end();
    s.run(["set", "memory.graph.entity/x", "no entity"]).prints("");
    let mut session = server(&s, &["--memory"]);
    let (failed, why) = session.call("read_graph", json!({}));
    assert!(failed && why.contains("entity/x holds nothing that belongs there"), "{why}");
    session.end();
}

#[test]
fn the_file_of_the_reference_server_is_taken_over() {
    let s = sandbox();
    let lines = [
        json!({"type": "entity", "name": "Ann", "entityType": "person", "observations": ["sings"]}),
        json!({"type": "entity", "name": "Bob", "entityType": "person", "observations": []}),
        json!({"type": "relation", "from": "Ann", "to": "Bob", "relationType": "knows"}),
        json!({"type": "something else"}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n\n")).collect();
    fs::write(s.path("memory.jsonl"), text).unwrap();
    s.run(["mcp", "--memory", "--import", "memory.jsonl"]).prints("").stderr_has("2 entities and 1 relation");
    let mut session = server(&s, &["--memory"]);
    remember(
        &mut session,
        "add_observations",
        json!({"observations": [{"entityName": "Ann", "contents": ["paints"]}]}),
    );
    s.run(["mcp", "--memory", "--import", "memory.jsonl"]).prints("");
    let graph = remember(&mut session, "read_graph", json!({})).1;
    assert_eq!(graph["entities"], json!([entity("Ann", &["sings", "paints"]), entity("Bob", &[])]));
    session.end();
    fs::write(s.path("bad.jsonl"), "{\"type\":\"entity\",\"name\":\"New\",\"entityType\":\"t\",\"observations\":[]}\n{\"type\":\"entity\"}\n").unwrap();
    refused(&s, &["mcp", "--memory", "--import", "bad.jsonl"], 1, "invalid").stderr_has("line 2");
    refused(&s, &["mcp", "--memory", "--import", "none.jsonl"], 1, "io");
    refused(&s, &["mcp", "--import", "memory.jsonl"], 64, "usage");
    refused(&s, &["mcp", "--max-bytes", "10"], 64, "usage");
    s.run(["keys", "memory.graph"]).succeeds().stdout_lacks("New");
}

#[test]
fn whoever_has_subscribed_to_the_graph_hears_of_it() {
    let s = sandbox();
    let mut session = server(&s, &["--memory"]);
    let graph = json!({"uri": "memory://knowledge-graph"});
    assert_eq!(session.error("resources/subscribe", json!({"uri": "memory://else"})).0, -32602);
    session.ask("resources/subscribe", graph.clone());
    let mut other = server(&s, &["--memory"]);
    remember(&mut other, "create_entities", json!({"entities": [entity("Ann", &["sings"])]}));
    other.end();
    assert_eq!(session.updated(), "memory://knowledge-graph");
    let read = session.ask("resources/read", graph);
    assert!(read["contents"][0]["text"].as_str().unwrap().contains("sings"), "{read}");
    session.end();
}
