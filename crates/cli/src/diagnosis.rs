//! What joins an account and the doctor: the account's record of a device, as the doctor is told it.

use fleetkey_agent::doctor::{Account, Tier, Word};
use fleetkey_model::arn::Scope;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::{ClientId, ThingName};
use fleetkey_operator::control_plane::ApiError;
use fleetkey_operator::diagnosis::{Diagnosis, Opinion, Records};
use fleetkey_policy::Action;

/// What is asked of the account.
#[derive(Debug, Clone)]
pub struct Questions {
    /// The thing.
    pub thing: ThingName,
    /// The client id that the device's client uses.
    pub client: ClientId,
    /// The topic of the echo.
    pub topic: String,
    /// Topics that the device publishes to.
    pub publishes: Vec<String>,
    /// Filters that it subscribes to.
    pub subscribes: Vec<String>,
}

/// Looks the device up and has its policies evaluated.
///
/// # Errors
/// When the account does not answer, or does not let us ask.
pub async fn ask(
    records: &impl Records,
    scope: &Scope,
    certificate: CertificateId,
    questions: &Questions,
) -> Result<Account, ApiError> {
    let Questions { thing, client, .. } = questions;
    let standing = records.standing(&certificate, thing).await?;
    let diagnosis = Diagnosis::new(scope, certificate, thing, &standing);
    let certificate = word(diagnosis.certificate());
    if matches!(certificate, Word::No { .. }) {
        return Ok(Account { certificate, ..Account::default() });
    }
    let ids = [client.clone(), ClientId::verify(thing), ClientId::agent(thing)];
    let clients = ids.map(|client| (client.clone(), word(diagnosis.connect(&client)))).into();
    let topics = questions.topics().into_iter().map(|(tier, action, topic)| {
        let opinion = diagnosis.may(action, &topic, client);
        (tier, topic, word(opinion))
    });
    Ok(Account { certificate, clients, topics: topics.collect() })
}

impl Questions {
    /// The topic of the echo in all three ways, then what the device is said to use.
    fn topics(&self) -> Vec<(Tier, Action, String)> {
        let echo = [
            (Tier::Subscribe, Action::Subscribe),
            (Tier::Publish, Action::Publish),
            (Tier::Receive, Action::Receive),
        ];
        let mut topics: Vec<_> = echo.map(|(tier, action)| (tier, action, self.topic.clone())).into();
        let publishes = self.publishes.iter();
        topics.extend(publishes.map(|topic| (Tier::Publish, Action::Publish, topic.clone())));
        for filter in &self.subscribes {
            topics.push((Tier::Subscribe, Action::Subscribe, filter.clone()));
            // What comes on a filter with wildcards has many names; `iot:Receive` is asked for each.
            if !filter.contains(['+', '#']) {
                topics.push((Tier::Receive, Action::Receive, filter.clone()));
            }
        }
        topics
    }
}

fn word(opinion: Opinion) -> Word {
    match opinion {
        Opinion::Yes(why) => Word::Yes(why),
        Opinion::No { why, todo } => Word::No { why, todo },
        Opinion::Unknown(why) => Word::Silent(why),
    }
}
