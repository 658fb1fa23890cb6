//! HTTP, as far as pages need it: who may speak to us, what they ask, what they get.

pub(crate) use answer::{Answer, Body};
pub(crate) use guard::Guard;
pub(crate) use place::Place;
pub(crate) use request::{Form, Method, Request, WHY};

mod answer;
mod guard;
mod place;
mod request;
pub(crate) mod stream;
pub(crate) mod text;
