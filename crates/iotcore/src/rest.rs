//! The REST side of the local IoT Core: HTTP, signatures, and AWS's operations on top of the account.
//!
//! A request passes, in this order: who may speak to us at all ([`guard`]), whose it is ([`auth`]), which operation
//! it means ([`routes`]), whether the account has room for it ([`throttle`]), the operation's own handler, and the service's way of writing answers ([`protocol`]).
//!
//! # Adding an operation
//! One file a family of operations, with `pub(crate) fn routes() -> Vec<Route>`; [`routes`] names the services'
//! tables. A handler takes a [`Context`] and its own input, and gives a [`Reply`] or a [`Refusal`]:
//!
//! ```text
//! route("DescribeEndpoint", Method::GET, "/endpoint", describe_endpoint)
//!
//! async fn describe_endpoint(context: Context, input: Input) -> Result<Reply, Refusal>
//! ```
//!
//! # Modules
//! - [`server`]: sockets, limits, the end
//! - [`dispatch`]: the way above, written down
//! - [`context`], [`reply`], [`refusal`]: what a handler is given and gives
//! - [`route`], [`template`], [`input`], [`text`], [`page`]: from a request to a handler's input
//! - [`throttle`]: the account's rates of calls
//! - [`admin`], [`coverage`], [`trail`]: what is ours: reset, what was called, management events
//! - [`iot`], [`data`], [`iam`], [`sts`], [`lambda`], [`logs`], [`quotas`]: the operations of each service
//! - [`device`]: what devices may ask without signing
//!
//! Not here: what an operation does to the account, which is [`crate::account`]'s.

pub(crate) use admin::{Reset, Resetting};
pub(crate) use auth::Keys;
pub(crate) use context::{Context, Endpoints, RequestId, Services};
pub(crate) use page::{Page, PageQuery};
pub(crate) use refusal::Refusal;
pub(crate) use reply::Reply;
pub(crate) use route::{Route, action, route, target};
pub(crate) use server::{Rest, RestConfig};

pub(crate) mod device;
pub(crate) mod text;

mod admin;
mod auth;
mod body;
mod context;
mod coverage;
mod data;
mod dispatch;
mod form;
mod guard;
mod iam;
mod input;
mod iot;
mod lambda;
mod logs;
mod page;
mod protocol;
mod quotas;
mod refusal;
mod reply;
mod route;
mod routes;
mod server;
mod service;
mod sigv4;
mod sts;
mod template;
mod throttle;
mod trail;
mod xml;
