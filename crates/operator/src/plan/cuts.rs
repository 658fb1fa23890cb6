//! Cuts connections and looks until they have ended. The data plane is asked with patience, until it is silent: from then on
//! once and briefly.

use std::future::Future;
use std::time::Duration;

use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;

use super::credential::failed;
use super::revoke::{Cut, Cutter, Ending, LOOK_FOR, Outcome};
use super::{Change, Operator, Patience, PlanError, Tools};
use crate::cloud::Cloud;
use crate::control_plane::{ApiError, Connected};

/// How often a client is asked after: one question a second and client id is answered (AWS IoT Core quotas).
const ASK_EVERY: Duration = Duration::from_millis(1100);
/// How long a connection is given to end before it is cut again (one cut a second and client id, AWS IoT Core quotas).
const CUT_EVERY: Duration = Duration::from_secs(5);

/// A connection that was cut at least once.
struct Severed {
    client: ClientId,
    /// What was said of it before.
    found: Connected,
    /// When it was first cut, and when last.
    begun: Timestamp,
    cut_at: Timestamp,
    /// How long after the first cut its end was found, what it was, and what the account said.
    end: Option<(Duration, Outcome, Option<String>)>,
}

impl Severed {
    fn told(self) -> Option<Cut> {
        let (after, outcome, trouble) = self.end?;
        Some(Cut { client: self.client, after, outcome, trouble })
    }
}

impl<C: Cloud + Cutter> Operator<'_, C> {
    /// Cuts clients until they are gone or time is over; who is not known to be connected is asked after first. The last one
    /// does not wait for the ends of the others: all are cut, then all are asked after, again and again.
    ///
    /// # Errors
    /// When the journal cannot be written; what the account says is in the answer.
    pub(super) async fn cut_all(
        &mut self,
        clients: Vec<(ClientId, Option<Connected>)>,
        ending: &Ending,
    ) -> Result<Vec<Cut>, PlanError> {
        let mut severed = Vec::new();
        for (client, known) in clients {
            let found = match known {
                Some(found) => found,
                None => self.told_of(&client).await,
            };
            if found != Connected::No {
                severed.push(self.sever(client, found, ending).await?);
            }
        }
        loop {
            for one in severed.iter_mut().filter(|one| one.end.is_none()) {
                let end = self.end_of(one, ending).await;
                self.note_end(one, end)?;
            }
            if severed.iter().all(|one| one.end.is_some()) {
                break;
            }
            self.pause();
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(severed.into_iter().filter_map(Severed::told).collect())
    }

    /// Cuts a client for the first time.
    async fn sever(
        &mut self,
        client: ClientId,
        found: Connected,
        ending: &Ending,
    ) -> Result<Severed, PlanError> {
        let begun = self.now();
        let mut severed = Severed { client, found, begun, cut_at: begun, end: None };
        if let Err(error) = self.cut(&severed.client, ending).await {
            self.note_end(&mut severed, Err(error))?;
        }
        severed.cut_at = self.now();
        Ok(severed)
    }

    /// What became of a client that was cut, if that is told by now; one that stays is cut again.
    async fn end_of(&mut self, severed: &mut Severed, ending: &Ending) -> Result<Option<Outcome>, PlanError> {
        let Connected::Since(since) = severed.found else {
            return Ok(Some(Outcome::Untold));
        };
        match self.connection(&severed.client).await? {
            Connected::Since(again) if again > since => return Ok(Some(Outcome::Back(again))),
            Connected::No | Connected::Untold => return Ok(Some(Outcome::Gone)),
            Connected::Since(_) => {}
        }
        if self.now().since(severed.begun) >= ending.patience {
            return Ok(Some(Outcome::Stays));
        }
        if self.now().since(severed.cut_at) >= CUT_EVERY {
            self.cut(&severed.client, ending).await?;
            severed.cut_at = self.now();
        }
        Ok(None)
    }

    fn note_end(
        &self,
        severed: &mut Severed,
        end: Result<Option<Outcome>, PlanError>,
    ) -> Result<(), PlanError> {
        let (outcome, trouble) = match end {
            Ok(outcome) => (outcome, None),
            // Its status is another already: the account cuts it within minutes.
            Err(PlanError::Call { error, .. }) => (Some(Outcome::Uncut), Some(error.to_string())),
            Err(error) => return Err(error),
        };
        severed.end = outcome.map(|outcome| (self.now().since(severed.begun), outcome, trouble));
        Ok(())
    }

    /// Whether a client is connected; where the data plane does not say so, it may be.
    pub(super) async fn told_of(&mut self, client: &ClientId) -> Connected {
        if self.is_blind {
            return Connected::Untold;
        }
        self.connection(client).await.unwrap_or(Connected::Untold)
    }

    async fn connection(&mut self, client: &ClientId) -> Result<Connected, PlanError> {
        let cloud = self.tools.cloud;
        let asked = asked_of(self.is_blind, || cloud.connection(client)).await;
        self.is_blind = is_silence(&asked);
        asked.map_err(failed(client.as_str()))
    }

    async fn cut(&mut self, client: &ClientId, ending: &Ending) -> Result<(), PlanError> {
        let change = Change {
            action: "disconnect",
            what: format!("client {client}"),
            why: Some(ending.why.clone()),
            before: None,
            after: None,
        };
        let is_blind = self.is_blind;
        let work = async |tools: &Tools<'_, C>| match asked_of(is_blind, || tools.cloud.cut(client)).await {
            Err(ApiError::NotFound(_)) => Ok(()),
            answer => answer,
        };
        let cut = self.journaled(change, work).await;
        self.is_blind = matches!(&cut, Err(PlanError::Call { error: ApiError::Unavailable(_), .. }));
        cut
    }
}

/// Calls the data plane: for ten seconds, and once and briefly when it did not answer before.
async fn asked_of<T, F>(is_blind: bool, call: impl Fn() -> F + Send) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>> + Send,
    T: Send,
{
    if !is_blind {
        return Patience::ASKING.call(|_| {}, call).await;
    }
    let silence = |_| ApiError::Unavailable(format!("no answer within {} s", LOOK_FOR.as_secs()));
    tokio::time::timeout(LOOK_FOR, call()).await.map_err(silence)?
}

const fn is_silence<T>(answer: &Result<T, ApiError>) -> bool {
    matches!(answer, Err(ApiError::Unavailable(_)))
}
