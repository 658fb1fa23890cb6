//! What an expression is worth for one message. Undefined is `None` and goes through everything but the functions
//! that ask for it.

use std::cell::{Cell, OnceCell};
use std::cmp::Ordering;
use std::net::IpAddr;

use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;
use fleetkey_mqtt::Properties;
use serde_json::{Map, Value as Json};

use super::SqlVersion;
use super::expr::{Expr, Operator, Step};
use super::value::{Number, equal, normalised, text, truth, weight};

/// A value; `None` is Undefined.
pub(super) type Value = Option<Json>;

/// Bytes that the evaluation of one statement for one message may make. Ours: eight times the largest message.
const BUDGET: usize = 1 << 20;

/// A message as rules see it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// Its topic, without the prefix of Basic Ingest.
    pub(crate) topic: &'a str,
    /// Its payload as it came.
    pub(crate) payload: &'a [u8],
    /// Its properties, those of MQTT 5.
    pub(crate) properties: &'a Properties,
    /// Who sent it.
    pub(crate) sender: Sender<'a>,
    /// The account number.
    pub(crate) account: &'a str,
    /// `traceid()`.
    pub(crate) trace: &'a str,
    /// `timestamp()`.
    pub(crate) now: Timestamp,
    json: OnceCell<Value>,
}

/// Who sent a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender<'a> {
    /// An MQTT connection, or an HTTPS request, with a certificate.
    Device {
        /// The client id; none over HTTPS.
        client: Option<&'a ClientId>,
        /// The certificate.
        certificate: &'a CertificateId,
        /// Where from, if that is still known.
        source: Option<IpAddr>,
    },
    /// The REST API.
    Caller {
        /// Its principal id.
        principal: &'a str,
    },
    /// The broker itself: a lifecycle event, a republished message.
    Broker,
}

impl<'a> Message<'a> {
    /// A message whose payload is read as JSON when a rule asks for it.
    pub(crate) const fn new(
        topic: &'a str,
        payload: &'a [u8],
        properties: &'a Properties,
        sender: Sender<'a>,
        account: &'a str,
        trace: &'a str,
        now: Timestamp,
    ) -> Self {
        Self { topic, payload, properties, sender, account, trace, now, json: OnceCell::new() }
    }

    /// The payload, if it is JSON.
    fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(self.payload).ok()).as_ref()
    }
}

/// A message, an edition of the language, and what is left of the budget.
pub(crate) struct Scope<'a> {
    pub(super) message: &'a Message<'a>,
    version: SqlVersion,
    left: Cell<Option<usize>>,
}

impl<'a> Scope<'a> {
    pub(crate) const fn new(message: &'a Message<'a>, version: SqlVersion) -> Self {
        Self { message, version, left: Cell::new(Some(BUDGET)) }
    }

    /// Whether more was to be made than may be; what was evaluated is worth nothing then.
    pub(crate) const fn is_spent(&self) -> bool {
        self.left.get().is_none()
    }

    /// The text of an expression, as templates want it; `None` when it is Undefined.
    pub(crate) fn text(&self, expr: &Expr) -> Option<String> {
        let value = self.eval(expr)?;
        text(&value).filter(|_| !self.is_spent())
    }

    /// The members of the payload; none when it is no object.
    pub(super) fn members(&self) -> Map<String, Json> {
        match self.message.json().and_then(|json| self.copy(json)) {
            Some(Json::Object(members)) => members,
            _ => Map::new(),
        }
    }

    /// The value of an expression.
    pub(super) fn eval(&self, expr: &Expr) -> Value {
        self.left.get()?;
        match expr {
            Expr::Literal(value) => self.keep(value.clone()),
            Expr::Undefined => None,
            // Outside of `encode` the payload is worth what JSON it is.
            Expr::Payload => self.copy(self.message.json()?),
            Expr::Path(steps) => self.copy(walk(self.message.json()?, steps)?),
            Expr::Member(base, steps) => self.copy(walk(&self.eval(base)?, steps)?),
            Expr::Not(operand) => Some(Json::Bool(!truth(&self.eval(operand)?)?)),
            Expr::Negate(operand) => self.arithmetic(Operator::Subtract, &0.into(), &self.eval(operand)?),
            Expr::Chain(first, rest) => rest.iter().fold(self.eval(first), |left, (operator, right)| {
                self.apply(*operator, left, self.eval(right))
            }),
            Expr::Case { subject, arms, otherwise } => self.case(subject, arms, otherwise.as_deref()),
            Expr::Array(items) => {
                let items: Vec<Json> = items.iter().filter_map(|item| self.eval(item)).collect();
                self.keep(Json::Array(items))
            }
            Expr::Object(members) => {
                let members =
                    members.iter().filter_map(|(key, value)| Some((key.clone(), self.eval(value)?)));
                self.keep(Json::Object(members.collect()))
            }
            Expr::Cast(value, target) => self.keep(target.cast(&self.eval(value)?)?),
            Expr::Call(function, arguments) => self.keep(function.call(self, arguments)?),
        }
    }

    /// Charges for a value that was made. Nothing is worth anything once the budget is spent.
    fn keep(&self, value: Json) -> Value {
        let left = self.left.get()?.checked_sub(weight(&value));
        self.left.set(left);
        left.map(|_| value)
    }

    /// A copy of a part of the payload; charged before it is made.
    fn copy(&self, value: &Json) -> Value {
        let left = self.left.get()?.checked_sub(weight(value));
        self.left.set(left);
        left?;
        Some(if self.version < SqlVersion::V2016 { value.clone() } else { normalised(value) })
    }

    fn case(&self, subject: &Expr, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Value {
        let subject = self.eval(subject);
        for (test, then) in arms {
            let hit = match (&subject, &self.eval(test)) {
                (Some(subject), Some(test)) => equal(subject, test),
                (None, None) => true,
                _ => false,
            };
            if hit {
                return self.eval(then);
            }
        }
        self.eval(otherwise?)
    }

    fn apply(&self, operator: Operator, left: Value, right: Value) -> Value {
        let (left, right) = (left?, right?);
        match operator {
            Operator::Or => Some((truth(&left)? | truth(&right)?).into()),
            Operator::And => Some((truth(&left)? & truth(&right)?).into()),
            Operator::Equal => Some(equal(&left, &right).into()),
            Operator::NotEqual => Some((!equal(&left, &right)).into()),
            Operator::Less => compare(&left, &right, Ordering::is_lt),
            Operator::LessOrEqual => compare(&left, &right, Ordering::is_le),
            Operator::Greater => compare(&left, &right, Ordering::is_gt),
            Operator::GreaterOrEqual => compare(&left, &right, Ordering::is_ge),
            Operator::In => {
                let items = right.as_array()?;
                Some(items.iter().any(|item| equal(&left, item)).into())
            }
            Operator::Add if left.is_string() || right.is_string() => {
                self.keep(Json::String(text(&left)? + &text(&right)?))
            }
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => self.arithmetic(operator, &left, &right),
        }
    }

    fn arithmetic(&self, operator: Operator, left: &Json, right: &Json) -> Value {
        let result = calculate(operator, Number::of(left)?, Number::of(right)?)?;
        if self.version < SqlVersion::V2016 { result.json() } else { result.normal().json() }
    }
}

/// Where the steps lead.
pub(super) fn walk<'a>(value: &'a Json, steps: &[Step]) -> Option<&'a Json> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_object()?.get(key),
        Step::Index(index) => value.as_array()?.get(*index),
    })
}

/// Both sides are made Decimals; what is none makes the result Undefined (Developer Guide, iot-sql-operators).
fn compare(left: &Json, right: &Json, is: impl Fn(Ordering) -> bool) -> Value {
    let ordering = Number::of(left)?.compare(Number::of(right)?)?;
    Some(is(ordering).into())
}

/// Whole numbers stay whole; what leaves their range becomes a Decimal. Division by zero is Undefined.
fn calculate(operator: Operator, left: Number, right: Number) -> Option<Number> {
    if let (Number::Whole(left), Number::Whole(right)) = (left, right) {
        if right == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
            return None;
        }
        let exact = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => left.checked_div(right),
            _ => left.checked_rem(right),
        };
        if let Some(exact) = exact {
            return Some(Number::Whole(exact));
        }
    }
    let (left, right) = (left.as_f64(), right.as_f64());
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    };
    result.is_finite().then_some(Number::Decimal(result))
}
