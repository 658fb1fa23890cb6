//! Which request is answered by which page, and in which order it is looked at: host, origin, session, scope.

use std::net::IpAddr;
use std::sync::Arc;

use fleetkey_model::name::ThingName;
use fleetkey_model::time::Timestamp;
use hyper::Response;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::Clock;
use crate::access::{Actor, Desk, Pass, Scope, Via};
use crate::bench::Bench;
use crate::fleet::{Direction, Fleet, Order};
use crate::http::stream::{BodyStream, Source};
use crate::http::{Answer, Body, Guard, Method, Request};
use crate::hub::Hub;
use crate::pages::{self, View};
use crate::server::{Front, Parts};

mod actions;
mod bench;
mod campaigns;
mod certificate;
mod demo;
mod door;
mod file;
mod proof;
mod routes;
mod streams;
mod works;

pub(crate) use streams::{StreamPlace, Streams};

/// Everything that answering needs.
pub(crate) struct App {
    fleet: Arc<dyn Fleet>,
    bench: Option<Arc<dyn Bench>>,
    hub: Arc<Hub>,
    clock: Clock,
    desk: Arc<Desk>,
    guard: Guard,
    /// What a link to us begins with.
    origin: String,
    streams: Streams,
    stopped: CancellationToken,
}

impl App {
    pub(crate) fn new(
        parts: Parts,
        desk: Desk,
        front: Front,
        streams: Streams,
        stopped: CancellationToken,
    ) -> Self {
        let Parts { fleet, bench, hub, clock } = parts;
        let Front { place, origin } = front;
        Self {
            fleet,
            bench,
            hub,
            clock,
            desk: Arc::new(desk),
            guard: Guard::new(place),
            origin,
            streams,
            stopped,
        }
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: hyper::Request<Incoming>, peer: IpAddr) -> Response<Body> {
        if let Err(stranger) = self.guard.host(request.headers()) {
            return pages::stranger(&stranger.to_string()).into_response();
        }
        let answer = match Request::read(request, peer).await {
            Ok(request) => self.route(&request).await,
            Err(unreadable) => {
                pages::plain(unreadable.status(), &unreadable.to_string()).with("connection", "close")
            }
        };
        answer.into_response()
    }

    async fn route(&self, request: &Request) -> Answer {
        if let Err(stranger) = self.guard.not_embedded(&request.headers) {
            return pages::plain(403, &stranger.to_string());
        }
        let known = routes::known(request.method, &request.parts());
        if known && let Some(answer) = self.public(request) {
            return answer;
        }
        let actor = match self.actor(request) {
            Ok(actor) => actor,
            Err(answer) => return answer,
        };
        match request.method {
            Method::Other => {
                pages::plain(405, "this method means nothing here").with("allow", "GET, HEAD, POST")
            }
            _ if !known => self.unknown(request, &actor),
            Method::Get => self.read(request, &actor),
            Method::Post => self.order(request, &actor).await,
        }
    }

    /// The answer where there is nothing: for a program where programs ask, otherwise a page.
    fn unknown(&self, request: &Request, actor: &Actor) -> Answer {
        match request.parts()[..] {
            ["api", ..] => pages::error_json(404, "there is no such route"),
            _ => self.nowhere(&self.view(actor, request)),
        }
    }

    /// Orders must come from a page of ours, or from who can set a header, and from somebody who may give them.
    async fn order(&self, request: &Request, actor: &Actor) -> Answer {
        if actor.via != Via::Header
            && let Err(stranger) = self.guard.same_origin(&request.headers)
        {
            return pages::plain(403, &stranger.to_string());
        }
        if let ["logout"] = request.parts()[..] {
            return self.logout(request);
        }
        if actor.scope < Scope::Operator {
            let words = format!("This needs the scope operator; yours is {}.", actor.scope.word());
            return pages::message(&self.view(actor, request), 403, "Not allowed", &words);
        }
        self.carry_out(request, actor).await
    }

    fn read(&self, request: &Request, actor: &Actor) -> Answer {
        let view = self.view(actor, request);
        let fleet = &*self.fleet;
        match request.parts()[..] {
            [] => pages::overview(&view, fleet),
            ["devices"] => pages::devices(&view, fleet, request),
            ["devices", thing] => match self.thing(thing) {
                Some(device) => pages::device(&view, &device, self.console(thing).as_deref()),
                None => self.nowhere(&view),
            },
            ["devices", thing, "policies"] => {
                let thing = ThingName::new(thing).ok();
                let page = thing.and_then(|thing| pages::effective(&view, fleet, &thing));
                page.unwrap_or_else(|| self.nowhere(&view))
            }
            ["devices", thing, "rotation"] => match self.thing(thing) {
                Some(device) => pages::rotation(&view, &device),
                None => self.nowhere(&view),
            },
            ["devices", thing, "certificates", id] => match self.certificate(thing, id, &view) {
                Some(answer) => answer,
                None => self.nowhere(&view),
            },
            ["rotations"] => pages::rotations(&view, fleet),
            ["findings"] => pages::findings(&view, fleet, request),
            ["inventory"] => pages::inventory(&view, fleet, request),
            ["inventory.csv"] => self.inventory_file(request, actor),
            ["campaigns"] => self.read_campaigns(request, actor),
            ["campaigns", name] => self.read_campaign(name, request, actor),
            ["policies"] => pages::policies(&view, fleet, request),
            ["policies", name] => match pages::policy(&view, fleet, name, request) {
                Some(answer) => answer,
                None => self.nowhere(&view),
            },
            ["provisioning"] => pages::provisioning(&view, fleet),
            ["setup"] => pages::plan(&view, fleet, Direction::SetUp),
            ["cleanup"] => pages::plan(&view, fleet, Direction::CleanUp),
            ["journal"] => pages::journal(&view, fleet, request),
            ["settings"] => pages::settings(&view, &self.desk.tokens(), None),
            ["try", ..] => self.read_bench(request, actor),
            ["api", ..] => self.read_demo(request),
            ["events"] => self.events(request, actor),
            _ => self.nowhere(&view),
        }
    }

    fn view<'a>(&self, actor: &'a Actor, request: &Request) -> View<'a> {
        View {
            site: self.fleet.site(),
            actor,
            open: self.desk.is_open(),
            decides: self.fleet.decides(),
            bench: self.bench.is_some(),
            now: self.now(),
            last: self.hub.last(),
            area: request.path.first().cloned().unwrap_or_default(),
        }
    }

    fn thing(&self, name: &str) -> Option<crate::fleet::Device> {
        self.fleet.device(&ThingName::new(name).ok()?)
    }

    /// Where a device is tried by hand, if it is on the bench.
    fn console(&self, thing: &str) -> Option<String> {
        let devices = self.bench.as_deref()?.devices();
        let device = devices.into_iter().find(|device| device.serial.as_str() == thing)?;
        Some(pages::bench_path(&device.serial))
    }

    /// The public certificate, as a file, once it is known.
    fn certificate(&self, thing: &str, id: &str, view: &View<'_>) -> Option<Answer> {
        let device = self.thing(thing)?;
        let certificate =
            device.certificates.into_iter().find(|certificate| certificate.id.to_string() == id)?;
        if certificate.pem.is_empty() {
            let refused = certificate.told.and_then(|told| told.refused);
            let words = refused.unwrap_or_else(|| "The account is being asked for it.".to_owned());
            return Some(pages::message(view, 503, "Not known yet", &words).with("retry-after", "30"));
        }
        let name = format!("{}.pem", certificate.id.short());
        Some(Answer::download("application/x-pem-file", &name, certificate.pem))
    }

    fn events(&self, request: &Request, actor: &Actor) -> Answer {
        let place = match self.streams.take(actor) {
            Ok(place) => place,
            Err(crowded) => return crowded.answer(),
        };
        // Of the header the browser's word, of the query the page's: it was drawn then.
        let asked = request.header("last-event-id").unwrap_or_else(|| request.query("after"));
        let after = asked.parse().unwrap_or_else(|_| self.hub.last());
        let (desk, clock) = (self.desk.clone(), self.clock.clone());
        let pass = match actor.via {
            Via::Cookie => Pass::cookie(request.cookie(&self.cookie()).unwrap_or_default()),
            Via::Header => Pass::token(request.token().unwrap_or_default()),
            Via::Open => Pass::Open,
        };
        let ended = desk.endings();
        let admitted = move || desk.holds(&pass, clock());
        let source = Source {
            hub: self.hub.clone(),
            after,
            admitted: Box::new(admitted),
            ended,
            stop: self.stopped.clone(),
            place,
        };
        Answer::stream("text/event-stream", BodyStream::events(source))
    }

    fn nowhere(&self, view: &View<'_>) -> Answer {
        pages::message(view, 404, "Not found", "There is no such page, device or certificate here.")
    }

    fn cookie(&self) -> String {
        self.guard.place().cookie()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
