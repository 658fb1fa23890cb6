//! The line by which whoever has the thing's session asks for the end of the certificates before.
//!
//! The controller goes by the broker's word alone: which certificate, under which client id, has said it. Beside another
//! program the agent has neither, so that program says it, on its own connection; with the id that the agent would use,
//! because the agent waits for the answer to that one (`lifecycle::machine::aftermath`).

use fleetkey_model::retirement::{DeviceRequest, RequestOp};
use fleetkey_model::topic::FleetTopic;

use super::Material;
use super::plain::Plain;

/// What is published.
pub(super) struct Request {
    pub(super) topic: String,
    pub(super) payload: String,
}

impl Request {
    pub(super) fn new(of: &Material, id: &str) -> Self {
        let request = DeviceRequest { op: RequestOp::Retire, id: id.to_owned(), audit: None };
        Self {
            topic: FleetTopic::Requests(of.serial.thing()).to_string(),
            payload: serde_json::to_string(&request).unwrap_or_default(),
        }
    }
}

/// For the end of a program's sheet: what to publish, when, and `how`; each line after `mark`, which begins a comment there.
pub(super) fn lines(program: &Plain<'_>, mark: &str, how: &str) -> String {
    let text = match &program.of.retires {
        Some(id) => told(program, how, &Request::new(program.of, id)),
        None => "Nothing is superseded that could be retired.\n".to_owned(),
    };
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

fn told(program: &Plain<'_>, how: &str, Request { topic, payload }: &Request) -> String {
    format!(
        "The certificate before this one stays ACTIVE until the thing's own session asks for its end. Once the program works\n\
         on these files, and the agent's `status` says \"retiring\" (when its soak is over, or at once after `retire`),\n\
         {how}, at QoS 1:\n\
         \x20 topic    {topic}\n\
         \x20 payload  {payload}\n\
         On a connection with the certificate before it retires nothing. Say it again if `status` goes on saying\n\
         \"retiring\" for a minute. For a program that cannot say it: stop it, say it with its\n\
         files and client id, start it:\n\
         \x20 mosquitto_pub {options} -q 1 -t {topic} -m '{payload}'\n",
        options = program.mosquitto_options(),
    )
}
