//! From trials and the account's word to findings. Pure.
//!
//! AWS IoT Core says no to CONNECT in one way whatever the reason (Developer Guide, mqtt), so the reason is told by what
//! else is let in: another client id, the certificate before, or, for certain, by the account.

use fleetkey_model::name::ClientId;

use super::target::{Account, Word};
use super::trial::{Reached, Step, Trial, Use};
use super::{Check, Target, Tier};

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tried {
    /// With the identity in question, in order; at most the last was let in.
    pub(super) own: Vec<Trial>,
    /// With the identity in question and a client id that is nobody's, when all of these were refused.
    pub(super) nobody: Option<Trial>,
    /// With the identity before, when all of these were refused.
    pub(super) previous: Option<Trial>,
}

impl Tried {
    /// The trial that was let in.
    fn admitted(&self) -> Option<(&ClientId, &Use)> {
        self.own.iter().find_map(|trial| match &trial.reached {
            Reached::In(used) => Some((&trial.client, used)),
            _ => None,
        })
    }

    fn is_in(trial: Option<&Trial>) -> bool {
        trial.is_some_and(|trial| matches!(trial.reached, Reached::In(_)))
    }

    /// What the broker said to a client id.
    fn refusal(&self, client: &ClientId) -> Option<&str> {
        self.own.iter().find_map(|trial| match &trial.reached {
            Reached::Refused(why) if trial.client == *client => Some(why.as_str()),
            _ => None,
        })
    }

    fn ids(&self) -> String {
        self.own.iter().map(|trial| trial.client.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The tiers from our side of TLS to the echo.
pub(super) fn findings(target: &Target, account: &Account, tried: &Tried) -> Vec<Check> {
    if let Some(check) = stopped(tried) {
        let mut checks = vec![check];
        checks.extend(by_account_alone(target, account, "the broker could not be asked"));
        return checks;
    }
    let mut checks = vec![
        Check::ok(Tier::ClientTls, "handshake", "the server takes our certificate in TLS")
            .why("under TLS 1.3 that says only that we hold its key"),
    ];
    match tried.admitted() {
        Some((client, used)) => {
            let what = format!("registered and ACTIVE: the broker lets it in as {client}");
            checks.push(Check::ok(Tier::Certificate, "accepted", what));
            checks.push(connect_check(target, account, tried, client));
            checks.extend(use_checks(target, account, client, used));
        }
        None => {
            checks.extend(refused(target, account, tried));
            checks.extend(topics_by_account(target, account, "no connection came about"));
        }
    }
    checks
}

/// Without trials: what the account says, and nothing else.
pub(super) fn by_account_alone(target: &Target, account: &Account, because: &str) -> Vec<Check> {
    let certificate = word_check(Tier::Certificate, "accepted", &account.certificate, because);
    let connect = word_check(Tier::Connect, target.client.as_str(), &account.client(&target.client), because);
    let mut checks = vec![certificate, connect];
    checks.extend(topics_by_account(target, account, because));
    checks
}

/// What ended every trial before the broker had a say.
fn stopped(tried: &Tried) -> Option<Check> {
    if tried.own.iter().any(|trial| matches!(trial.reached, Reached::In(_) | Reached::Refused(_))) {
        return None;
    }
    tried.own.last().map(|trial| match &trial.reached {
        Reached::Tls(why) => Check::failed(Tier::ClientTls, "handshake", "the server's TLS refuses our certificate")
            .why(why)
            .todo("it is damaged, expired, or of a kind (key, signature) that the server does not take: get another"),
        Reached::NoMqtt(why) => Check::failed(Tier::ServerTls, "protocol", "TLS, but no MQTT answers")
            .why(why)
            .todo("8883 is MQTT; 443 is MQTT only with ALPN x-amzn-mqtt-ca; 8443 is HTTPS"),
        Reached::Throttled(why) => Check::unknown(Tier::Connect, "throttled", "the broker has no time for us")
            .why(why)
            .todo("ask again: AWS takes one CONNECT a second of one client id"),
        Reached::Unreached(why) | Reached::Refused(why) => {
            Check::failed(Tier::ClientTls, "handshake", "the connection broke").why(why).todo("ask again")
        }
        Reached::In(_) => Check::ok(Tier::ClientTls, "handshake", "let in"),
    })
}

fn connect_check(target: &Target, account: &Account, tried: &Tried, admitted: &ClientId) -> Check {
    let client = &target.client;
    if admitted == client {
        return Check::ok(Tier::Connect, client.as_str(), "let in");
    }
    if let Some(refusal) = tried.refusal(client) {
        return denied(
            client,
            account,
            format!("it lets {admitted} in, so the certificate is not the reason"),
        )
        .why(format!("the broker: {refusal}"));
    }
    match account.client(client) {
        Word::Yes(why) => Check::ok(Tier::Connect, client.as_str(), "the policy allows it").why(why),
        Word::No { why, todo } => {
            Check::failed(Tier::Connect, client.as_str(), "the policy does not let it connect")
                .why(why)
                .todo(todo)
        }
        Word::Silent(why) => {
            let because =
                format!("it would throw the device off line; {admitted} was let in instead, and {why}");
            Check::not_checked(Tier::Connect, client.as_str(), because)
                .todo("--take-over tries it; so does asking the account, which disturbs nobody")
        }
    }
}

fn denied(client: &ClientId, account: &Account, else_why: String) -> Check {
    let check = Check::failed(
        Tier::Connect,
        client.as_str(),
        format!("the policy does not let this certificate connect as {client}"),
    );
    match account.client(client) {
        Word::No { why, todo } => check.why(why).todo(todo),
        _ => check
            .why(else_why)
            .todo(format!("allow iot:Connect on client/{client}, or use the client id that is allowed")),
    }
}

/// Nobody was let in.
fn refused(target: &Target, account: &Account, tried: &Tried) -> Vec<Check> {
    let word = tried.own.iter().find_map(|trial| match &trial.reached {
        Reached::Refused(why) => Some(why.as_str()),
        _ => None,
    });
    let word = word.unwrap_or("the broker closed the connection");
    let client = &target.client;
    if let Word::No { why, todo } = &account.certificate {
        return vec![
            Check::failed(Tier::Certificate, "accepted", why.clone())
                .why(format!("the broker: {word}"))
                .todo(todo),
            Check::not_checked(Tier::Connect, client.as_str(), "the certificate itself is refused"),
        ];
    }
    if Tried::is_in(tried.nobody.as_ref()) {
        let why = "an id that is nobody's is let in, so the certificate is not the reason".to_owned();
        return vec![
            Check::ok(
                Tier::Certificate,
                "accepted",
                "registered and ACTIVE: the broker lets another client id in",
            ),
            denied(client, account, why),
        ];
    }
    if let Word::Yes(active) = &account.certificate {
        return refused_though_active(target, account, tried, active, word);
    }
    vec![
        undecided(target, tried, word),
        Check::not_checked(Tier::Connect, client.as_str(), "nobody was let in"),
    ]
}

fn refused_though_active(
    target: &Target,
    account: &Account,
    tried: &Tried,
    active: &str,
    word: &str,
) -> Vec<Check> {
    let client = &target.client;
    let accepted = Check::ok(Tier::Certificate, "accepted", active);
    let was_tried = tried.refusal(client).is_some();
    match account.client(client) {
        Word::No { why, todo } => vec![
            accepted,
            Check::failed(Tier::Connect, client.as_str(), "the policy does not let it connect")
                .why(format!("{why}; the broker: {word}"))
                .todo(todo),
        ],
        Word::Yes(why) if !was_tried && !says_yes_to_one(account, tried) => vec![
            accepted,
            Check::ok(Tier::Connect, client.as_str(), "the policy allows it, and none of the ids that disturb nobody")
                .why(why)
                .todo("--take-over tries it on the wire; allow the client id <thing>~verify to have rotations verified"),
        ],
        Word::Yes(why) | Word::Silent(why) => vec![
            Check::failed(Tier::Certificate, "accepted", "the account says yes and the broker says no")
                .why(format!("{active}; {why}; the broker: {word}"))
                .todo("a change takes minutes to spread: ask again; then compare account and region with the endpoint's"),
            Check::not_checked(Tier::Connect, client.as_str(), "nobody was let in"),
        ],
    }
}

/// Whether the account allows one of the ids that the broker refused.
fn says_yes_to_one(account: &Account, tried: &Tried) -> bool {
    tried.own.iter().any(|trial| matches!(account.client(&trial.client), Word::Yes(_)))
}

fn undecided(target: &Target, tried: &Tried, word: &str) -> Check {
    let ids = tried.ids();
    let heard = format!("as {ids}; the broker: {word}");
    if Tried::is_in(tried.previous.as_ref()) {
        return Check::failed(Tier::Certificate, "accepted", "the broker refuses this certificate")
            .why(format!("the one before is let in the same way; tried {heard}"))
            .todo("look in the account: it is not registered, not ACTIVE, or has no policy. Roll back, or rotate");
    }
    if tried.refusal(&target.client).is_some() {
        return Check::failed(
            Tier::Certificate,
            "accepted",
            "the broker lets this certificate in under no client id",
        )
        .why(format!("tried {heard}"))
        .todo(
            "look in the account (AWS credentials tell which): is it registered and ACTIVE, has it a policy, \
                   does that allow iot:Connect for this client id?",
        );
    }
    Check::unknown(Tier::Certificate, "accepted", "the broker lets it in under none of the ids that disturb nobody")
        .why(format!(
            "tried {heard}. Either it is not registered, not ACTIVE or without policy, or the policy allows {} alone",
            target.client
        ))
        .todo("ask with AWS credentials, or with --take-over, which throws a connected device off line")
}

fn use_checks(target: &Target, account: &Account, client: &ClientId, used: &Use) -> Vec<Check> {
    let steps = [
        (Tier::Subscribe, "iot:Subscribe", &used.subscribe),
        (Tier::Publish, "iot:Publish", &used.publish),
        (Tier::Receive, "iot:Receive", &used.receive),
    ];
    let tried = steps.map(|(tier, action, step)| step_check(target, account, client, tier, action, step));
    let mut checks: Vec<_> = tried.into();
    let others = account.topics.iter().filter(|(_, topic, _)| *topic != target.topic);
    checks.extend(others.map(|(tier, topic, word)| word_check(*tier, topic, word, "")));
    checks
}

fn step_check(
    target: &Target,
    account: &Account,
    client: &ClientId,
    tier: Tier,
    action: &str,
    step: &Step,
) -> Check {
    let topic = target.topic.as_str();
    match step {
        Step::Done => Check::ok(tier, topic, format!("done as {client}")),
        Step::Skipped(because) => Check::not_checked(tier, topic, *because),
        Step::Silent(why) => {
            Check::unknown(tier, topic, why.clone()).todo("ask again; then look at the network")
        }
        Step::Refused(why) => {
            let check = Check::failed(tier, topic, format!("{action} is refused"));
            match account.topic(tier, topic) {
                Word::No { why: reason, todo } => {
                    check.why(format!("{reason}; the broker: {why}")).todo(todo)
                }
                Word::Yes(_) | Word::Silent(_) => {
                    let kind = if tier == Tier::Subscribe { "topicfilter" } else { "topic" };
                    check.why(format!("the broker: {why}")).todo(format!("allow {action} on {kind}/{topic}"))
                }
            }
        }
    }
}

fn topics_by_account(target: &Target, account: &Account, because: &str) -> Vec<Check> {
    if account.topics.is_empty() {
        let tiers = [Tier::Subscribe, Tier::Publish, Tier::Receive];
        return tiers.map(|tier| Check::not_checked(tier, target.topic.as_str(), because)).into();
    }
    account.topics.iter().map(|(tier, topic, word)| word_check(*tier, topic, word, because)).collect()
}

fn word_check(tier: Tier, name: &str, word: &Word, because: &str) -> Check {
    match word {
        Word::Yes(why) => Check::ok(tier, name, "the account says yes").why(why),
        Word::No { why, todo } => Check::failed(tier, name, why.clone()).todo(todo),
        Word::Silent(why) if because.is_empty() => Check::not_checked(tier, name, why.clone()),
        Word::Silent(why) => Check::not_checked(tier, name, format!("{because}, and {why}")),
    }
}

#[cfg(test)]
mod tests;
