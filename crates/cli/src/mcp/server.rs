//! What the SDK asks for: who this is, which tools and resources there are, and what comes of calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerCapabilities, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use tokio::time::sleep;

use super::calls::Ticket;
use super::desk::Jobs;
use super::frames::Ended;
use super::memory;
use super::requests::Arguments;
use super::resources;
use super::scope::Scope;
use super::subscriptions::{Subject, Subscriptions};
use super::tools::{self, Answer, Call};
use super::{Kind, Options};
use crate::exit::Failure;
use crate::waiting::Waiting;

/// How often a call looks that waits for a lock or an item.
const LOOK: Duration = Duration::from_millis(10);

/// The server of a session.
pub struct Server {
    kind: Kind,
    read_only: bool,
    scope: Scope,
    jobs: Jobs,
    ended: Ended,
    tools: Vec<Tool>,
    subscriptions: Subscriptions,
}

impl Server {
    /// One that works in `scope`.
    pub fn new(Options { kind, read_only, .. }: Options, scope: Scope, jobs: Jobs, ended: Ended) -> Self {
        let tools = match kind {
            Kind::Store => tools::definitions(&scope, read_only),
            Kind::Memory => memory::definitions(read_only),
        };
        let subscriptions = Subscriptions::new(jobs.clone(), &scope, !read_only);
        Self { kind, read_only, scope, jobs, ended, tools, subscriptions }
    }

    /// What an agent is told first.
    fn instructions(&self) -> String {
        let Self { scope, read_only, .. } = self;
        match self.kind {
            Kind::Store => format!(
                "ProntoDB keeps values under keys, shared with other agents and kept for good. Keys are {} in {}. \
                 Others write at the same time: read an entry's version and set with if_version, or use update and txn.{}",
                scope.form(),
                scope.described(),
                if *read_only { " This server only reads." } else { "" }
            ),
            Kind::Memory => {
                "A knowledge graph of entities, relations and observations, kept for good and shared with other agents."
                    .to_owned()
            }
        }
    }

    /// Does what was asked for, and again until it can be done, as long as the call waits.
    async fn work(
        &self,
        call: Box<dyn Call>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Vec<u8>, Failure> {
        let (call, ticket) = (Arc::<dyn Call>::from(call), context.extensions.get::<Ticket>());
        let waiting = Waiting::begin(call.wait()?);
        loop {
            let ours = Arc::clone(&call);
            let failure = match self.jobs.ask_for(ticket, move |desk| ours.run(desk)).await? {
                Answer::Done(text) => return Ok(text),
                Answer::Taken(text, undo) => {
                    if ticket.is_some_and(Ticket::is_cancelled) {
                        self.jobs.ask(undo).await?;
                    }
                    return Ok(text);
                }
                Answer::NotYet(failure) => failure,
            };
            let left = waiting.left();
            if left.is_zero() {
                return Err(failure);
            }
            tokio::select! {
                () = sleep(LOOK.min(left)) => {}
                // Nobody waits for it any more.
                () = self.ended.wait() => return Err(failure),
                () = context.ct.cancelled() => return Err(failure),
            }
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("prontodb", env!("CARGO_PKG_VERSION")))
            .with_instructions(self.instructions())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // The SDK has not seen them: they were left as they are written.
        let Arguments(arguments) = context.extensions.remove().unwrap_or_default();
        if self.kind == Kind::Memory {
            let call = memory::call(&request.name, &arguments, self.read_only);
            drop(arguments);
            return Ok(memory::answer(&self.jobs, context.extensions.get(), call).await.into());
        }
        let Some(call) = tools::call(&request.name, &arguments, self.read_only) else {
            return Err(self.no_tool(&request.name));
        };
        drop(arguments);
        let done = match call {
            Ok(call) => self.work(call, &context).await,
            Err(failure) => Err(failure),
        };
        Ok(match done {
            Ok(text) => {
                let text = String::from_utf8_lossy(text.trim_ascii_end()).into_owned();
                CallToolResult::success(vec![ContentBlock::text(text)])
            }
            Err(failure) => CallToolResult::error(vec![ContentBlock::text(tools::told(&failure))]),
        }
        .into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        match self.kind {
            Kind::Store => resources::list(&self.jobs, request.and_then(|request| request.cursor)).await,
            Kind::Memory => Ok(ListResourcesResult::with_all_items(vec![memory::resource()])),
        }
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(match self.kind {
            Kind::Store => resources::templates(&self.scope),
            Kind::Memory => Vec::new(),
        }))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = match self.kind {
            Kind::Store => resources::read(&self.jobs, request.uri).await,
            Kind::Memory => memory::read_resource(&self.jobs, &request.uri).await,
        };
        Ok(ReadResourceResult::new(vec![contents?]).into())
    }

    async fn subscribe(
        &self,
        SubscribeRequestParams { uri, .. }: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let subject = self.subject(&uri).map_err(|failure| refused(&failure))?;
        let added = self.subscriptions.add(uri, subject, &context.peer).await;
        added.map_err(|failure| refused(&failure))
    }

    async fn unsubscribe(
        &self,
        UnsubscribeRequestParams { uri, .. }: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriptions.remove(&uri).await;
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let uris = requested.resource_subscriptions.iter().flatten();
        let accepted = uris.filter(|uri| self.subject(uri).is_ok()).cloned();
        Some(SubscriptionFilter::builder().resource_subscriptions(accepted).build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let uris = context.accepted().resource_subscriptions.iter().flatten();
        let subjects: BTreeMap<_, _> =
            uris.filter_map(|uri| Some((uri.clone(), self.subject(uri).ok()?))).collect();
        let begun = self.subscriptions.begin(subjects).await;
        let subscriber = begun.map_err(|failure| refused(&failure))?;
        let telling = subscriber.tell(|uri| {
            let sink = context.sink().clone();
            async move { sink.notify_resource_updated(uri).await.is_ok() }
        });
        tokio::select! {
            () = telling => {}
            () = context.cancelled() => {}
            () = self.ended.wait() => {}
        }
        Ok(())
    }
}

impl Server {
    /// What a client may subscribe to by a URI.
    fn subject(&self, uri: &str) -> Result<Subject, Failure> {
        match self.kind {
            Kind::Store => resources::watched(&self.scope, uri),
            Kind::Memory => memory::watched(&self.scope, uri),
        }
    }

    fn no_tool(&self, name: &str) -> ErrorData {
        let names: Vec<_> = self.tools.iter().map(|tool| tool.name.as_ref()).collect();
        let why = if self.read_only { "; this server only reads" } else { "" };
        ErrorData::invalid_params(
            format!("there is no tool {name}{why}; there are {}", names.join(", ")),
            None,
        )
    }
}

/// A failure as an error of the protocol.
pub fn refused(failure: &Failure) -> ErrorData {
    let what = tools::told(failure);
    match failure.kind {
        "not_found" => ErrorData::resource_not_found(what, None),
        "invalid" | "denied" | "limit" => ErrorData::invalid_params(what, None),
        _ => ErrorData::internal_error(what, None),
    }
}
