//! What a frame says: a call that this server knows, the end of one, or what is wrong with it.
//!
//! A frame is cut into its members before anything is made of it, and each call is read by the type of its own parameters; the SDK's
//! type of all messages would try one after the other, with a hundred times the memory of the frame.

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, DiscoverRequest, DiscoverRequestParams, ErrorCode,
    ErrorData, GetExtensions as _, InitializeRequest, JsonObject, ListResourceTemplatesRequest,
    ListResourcesRequest, ListToolsRequest, NumberOrString, ReadResourceRequest, Request, RequestId,
    RequestMetaObject, SubscriptionsListenRequest,
};
use serde::de::{DeserializeOwned, IgnoredAny};

/// How many bytes the parameters of a call may have, but those of a tool.
const MOST_PARAMETERS: usize = 1024 * 1024;
/// How long a method's name is told.
const MOST_TOLD: usize = 100;

/// What a frame says.
#[derive(Debug)]
pub enum Said {
    /// Something is asked for.
    Call(RequestId, &'static Method),
    /// Whether anybody is there.
    Ping(RequestId),
    /// An answer is not waited for any more.
    Cancelled(RequestId),
    /// Nothing that matters here.
    Nothing,
    /// Something that is not as the protocol has it; where a call can be made out, which one.
    Wrong(Option<RequestId>, ErrorData),
}

/// The arguments of a tool, as they are written.
#[derive(Clone, Debug, Default)]
pub struct Arguments(pub Vec<u8>);

/// Reads a frame.
pub fn read(frame: &[u8]) -> Said {
    if frame.trim_ascii().is_empty() {
        return Said::Nothing;
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(frame) {
        return Said::Wrong(None, ErrorData::parse_error(format!("the frame is no JSON: {error}"), None));
    }
    let Some(members) = members(frame, ["jsonrpc", "id", "method", "params", "result", "error"]) else {
        return Said::Wrong(None, invalid("a frame is a JSON object; the protocol has no batches"));
    };
    let [jsonrpc, id, method, params, result, error] = members;
    let is_ours = jsonrpc.and_then(text).as_deref() == Some("2.0");
    let method = method.and_then(text);
    let id = match (id, &method) {
        (None, Some(method)) if method.starts_with("notifications/") => {
            let cancelled = is_ours && method == "notifications/cancelled";
            return params
                .filter(|_| cancelled)
                .and_then(cancelled_id)
                .map_or(Said::Nothing, Said::Cancelled);
        }
        // Nobody was asked anything.
        (_, None) if is_ours && (result.is_some() || error.is_some()) => return Said::Nothing,
        (id, _) => id.and_then(read_id),
    };
    match (id, method) {
        (None, _) => Said::Wrong(None, invalid("a call needs an id, a whole number or a text")),
        (id, None) => Said::Wrong(id, invalid("a call needs a method")),
        (id, Some(_)) if !is_ours => Said::Wrong(id, invalid("a frame needs \"jsonrpc\":\"2.0\"")),
        (Some(id), Some(method)) if method == "ping" => Said::Ping(id),
        (Some(id), Some(method)) => match METHODS.iter().find(|known| known.name == method) {
            Some(method) => Said::Call(id, method),
            None => Said::Wrong(Some(id), no_method(&method)),
        },
    }
}

/// A method of this server, and what makes a call of its parameters.
#[derive(Debug)]
pub struct Method {
    name: &'static str,
    read: fn(&[u8]) -> Option<ClientRequest>,
}

static METHODS: &[Method] = &[
    Method { name: "initialize", read: |params| Some(InitializeRequest::new(typed(params)?).into()) },
    Method { name: "server/discover", read: |_| Some(DiscoverRequest::new(DiscoverRequestParams {}).into()) },
    Method { name: "tools/call", read: call_of_tool },
    Method { name: "tools/list", read: |params| Some(ListToolsRequest::with_param(typed(params)?).into()) },
    Method {
        name: "resources/list",
        read: |params| Some(ListResourcesRequest::with_param(typed(params)?).into()),
    },
    Method {
        name: "resources/templates/list",
        read: |params| Some(ListResourceTemplatesRequest::with_param(typed(params)?).into()),
    },
    Method { name: "resources/read", read: |params| Some(ReadResourceRequest::new(typed(params)?).into()) },
    Method {
        name: "resources/subscribe",
        read: |params| Some(ClientRequest::SubscribeRequest(Request::new(typed(params)?))),
    },
    Method {
        name: "resources/unsubscribe",
        read: |params| Some(ClientRequest::UnsubscribeRequest(Request::new(typed(params)?))),
    },
    Method {
        name: "subscriptions/listen",
        read: |params| Some(SubscriptionsListenRequest::new(typed(params)?).into()),
    },
];

impl Method {
    /// Makes a call of a frame that was read to be one.
    pub fn request(&self, frame: &[u8]) -> Result<ClientRequest, ErrorData> {
        let given = members(frame, ["params"]).and_then(|[params]| params);
        let params = given.filter(|params| *params != b"null").unwrap_or(b"{}");
        let [meta, arguments] = members(params, ["_meta", "arguments"]).ok_or_else(|| self.wrong())?;
        let arguments = if self.name == "tools/call" { arguments.map_or(0, <[u8]>::len) } else { 0 };
        if params.len() - arguments > MOST_PARAMETERS {
            let what = format!("{} may have {MOST_PARAMETERS} bytes of parameters", self.name);
            return Err(ErrorData::invalid_params(what, None));
        }
        let mut request = (self.read)(params).ok_or_else(|| self.wrong())?;
        if let Some(meta) = meta.filter(|meta| *meta != b"null") {
            let meta: JsonObject = typed(meta).ok_or_else(|| self.wrong())?;
            request.extensions_mut().insert(RequestMetaObject::from(meta));
        }
        Ok(request)
    }

    fn wrong(&self) -> ErrorData {
        let what = format!("the parameters of {} are not as the protocol has them", self.name);
        ErrorData::invalid_params(what, None)
    }
}

/// The call of a tool; what its arguments are is the tool's to say.
fn call_of_tool(params: &[u8]) -> Option<ClientRequest> {
    let [name, arguments] = members(params, ["name", "arguments"])?;
    let arguments = arguments.filter(|arguments| *arguments != b"null").unwrap_or(b"{}");
    let mut request = CallToolRequest::new(CallToolRequestParams::new(text(name?)?));
    request.extensions.insert(Arguments(arguments.starts_with(b"{").then(|| arguments.to_vec())?));
    Some(request.into())
}

/// Reads an object; types of the SDK would take an array, too.
fn typed<T: DeserializeOwned>(object: &[u8]) -> Option<T> {
    serde_json::from_slice(object.starts_with(b"{").then_some(object)?).ok()
}

fn text(value: &[u8]) -> Option<String> {
    serde_json::from_slice(value).ok()
}

fn read_id(value: &[u8]) -> Option<RequestId> {
    let number = serde_json::from_slice(value).map(NumberOrString::Number);
    number.ok().or_else(|| Some(NumberOrString::String(text(value)?.into())))
}

/// Which call is cancelled.
fn cancelled_id(params: &[u8]) -> Option<RequestId> {
    let [id] = members(params, ["requestId"])?;
    read_id(id?)
}

fn invalid(what: &'static str) -> ErrorData {
    ErrorData::invalid_request(what, None)
}

fn no_method(method: &str) -> ErrorData {
    let method: String = method.chars().take(MOST_TOLD).collect();
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method {method}"), None)
}

/// What members of these names hold, as it is written, in an object that is known to be JSON; of those that are there twice the last
/// one. `None` for what is no object.
fn members<'a, const N: usize>(object: &'a [u8], names: [&str; N]) -> Option<[Option<&'a [u8]>; N]> {
    let mut rest = object.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let mut found = [None; N];
    while !rest.starts_with(b"}") {
        let (name, behind) = first_value(rest)?;
        let (value, behind) = first_value(behind.trim_ascii_start().strip_prefix(b":")?)?;
        let name = text(name)?;
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at] = Some(value);
        }
        let behind = behind.trim_ascii_start();
        rest = behind.strip_prefix(b",").unwrap_or(behind).trim_ascii_start();
    }
    Some(found)
}

/// The first value of a text, as it is written, and what follows.
fn first_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    text.split_at_checked(values.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frame: &str) -> String {
        match read(frame.as_bytes()) {
            Said::Call(id, method) => match method.request(frame.as_bytes()) {
                Ok(request) => format!("{id} {}", request.method()),
                Err(error) => format!("{id} {}", error.code.0),
            },
            Said::Ping(id) => format!("{id} ping"),
            Said::Cancelled(id) => format!("{id} cancelled"),
            Said::Nothing => "nothing".to_owned(),
            Said::Wrong(id, error) => {
                format!("{} {}", id.map_or("-".to_owned(), |id| id.to_string()), error.code.0)
            }
        }
    }

    #[test]
    fn frames_that_are_no_calls_are_told_apart() {
        for (frame, said) in [
            (" \r", "nothing"),
            ("{", "- -32700"),
            ("{} {}", "- -32700"),
            ("\u{1}", "- -32700"),
            ("[]", "- -32600"),
            ("7", "- -32600"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "- -32600"),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "- -32600"),
            (r#"{"jsonrpc":"2.0","method":"ping"}"#, "- -32600"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "- -32600"),
            (r#"{"id":7,"method":"ping"}"#, "7 -32600"),
            (r#"{"jsonrpc":"2.0","id":"x"}"#, "x -32600"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, "nothing"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "nothing"),
            (r#"{"jsonrpc":"2.0","method":"notifications/x","params":3}"#, "nothing"),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#, "nothing"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":5}"#, "7 -32602"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["get",{}]}"#, "7 -32602"),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"x","_meta":[]}}"#,
                "7 -32602",
            ),
            (r#"{"jsonrpc":"2.0","id":7,"method":"no/such"}"#, "7 -32601"),
        ] {
            assert_eq!(shown(frame), said, "{frame}");
        }
    }

    #[test]
    fn calls_are_read_however_they_are_written() {
        for (frame, said) in [
            (r#" { "method" : "tools/list" , "id" : 1 , "jsonrpc" : "2.0" } "#, "1 tools/list"),
            (r#"{"jsonrpc":"2.0","id":1,"\u006dethod":"ping"}"#, "1 ping"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":null}"#, "a tools/list"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":null,"name":"x"}}"#,
                "1 tools/call",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"}"}}"#,
                "} cancelled",
            ),
        ] {
            assert_eq!(shown(frame), said, "{frame}");
        }
    }

    #[test]
    fn members_are_found_as_they_are_written() {
        let object = br#"{"a":1,"b\"":"},","c":[{"a":2},"]"] ,"a" : -1.5e3,"d":{}}"#;
        let found = members(object, ["a", "b\"", "c", "d", "e"]).unwrap();
        let found = found.map(|value| value.map(|value| std::str::from_utf8(value).unwrap()));
        assert_eq!(found, [Some("-1.5e3"), Some(r#""},""#), Some(r#"[{"a":2},"]"]"#), Some("{}"), None]);
        assert_eq!(members(b"{}", ["a"]), Some([None]));
        assert_eq!(members(b"[]", ["a"]), None);
    }
}
