//! The inventory as a file: sent as it is read, so that a million rows need no more memory than a thousand.

use std::sync::Arc;

use bytes::Bytes;

use super::App;
use crate::access::Actor;
use crate::fleet::{Fleet, InventoryQuery};
use crate::http::stream::BodyStream;
use crate::http::{Answer, Request};
use crate::pages::{INVENTORY_HEAD, inventory_lines, inventory_query};

/// Rows a piece.
const ROWS: usize = 1000;

impl App {
    /// `GET /inventory.csv`, with the query of the page.
    pub(super) fn inventory_file(&self, request: &Request, actor: &Actor) -> Answer {
        let place = match self.streams.take(actor) {
            Ok(place) => place,
            Err(crowded) => return crowded.answer(),
        };
        let mut rest = Some(Rest {
            fleet: self.fleet.clone(),
            query: InventoryQuery { after: None, ..inventory_query(request, ROWS) },
        });
        let mut head = Some(INVENTORY_HEAD.to_owned());
        let stream = BodyStream::pieces(self.stopped.clone(), place, move || {
            head.take()
                .or_else(|| {
                    let (lines, more) = rest.take()?.piece();
                    rest = more;
                    Some(lines)
                })
                .map(Bytes::from)
        });
        Answer::stream("text/csv; charset=utf-8", stream)
            .with("content-disposition", "attachment; filename=\"inventory.csv\"")
    }
}

/// What is still to be sent.
struct Rest {
    fleet: Arc<dyn Fleet>,
    query: InventoryQuery,
}

impl Rest {
    fn piece(self) -> (String, Option<Self>) {
        let Self { fleet, query } = self;
        let page = fleet.inventory(&query).unwrap_or_default();
        let lines = inventory_lines(&page.rows);
        let more = page.next.map(|next| Self { query: InventoryQuery { after: Some(next), ..query }, fleet });
        (lines, more)
    }
}
