//! Taking the fields of a JSON object one by one, and refusing what is left over.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{ParseError, Place, Problem};
use crate::json::Node;

/// The fields of an object that have not been taken yet.
pub(super) struct Fields {
    place: Place,
    rest: Vec<(String, Node)>,
}

impl Fields {
    pub(super) fn of(node: Node, place: Place) -> Result<Self, ParseError> {
        match node {
            Node::Object(rest) => Ok(Self { place, rest }),
            Node::Scalar { .. } | Node::Null | Node::List(_) => {
                Err(Problem::Expected("an object").at(&place))
            }
        }
    }

    pub(super) fn place(&self, name: &str) -> Place {
        self.place.field(name)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.rest.iter().position(|(key, _)| key == name)?;
        Some(self.rest.remove(at).1)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<Node, ParseError> {
        self.take(name).ok_or_else(|| Problem::Missing.at(&self.place(name)))
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, ParseError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Scalar { text, is_string: true }) => Ok(Some(text)),
            Some(_) => Err(Problem::Expected("a string").at(&self.place(name))),
        }
    }

    pub(super) fn required_string(&mut self, name: &str) -> Result<String, ParseError> {
        self.string(name)?.ok_or_else(|| Problem::Missing.at(&self.place(name)))
    }

    /// Refuses fields that nobody took; `known` is for the message.
    pub(super) fn finish(self, known: &'static str) -> Result<(), ParseError> {
        match self.rest.first() {
            Some((name, _)) => Err(Problem::UnknownField(known).at(&self.place.field(name))),
            None => Ok(()),
        }
    }

    pub(super) fn into_entries(self) -> Vec<(String, Node)> {
        self.rest
    }
}

/// One string, or a list of at least one.
pub(super) fn strings(node: Node, place: &Place) -> Result<Vec<String>, ParseError> {
    texts(node, place, "a string or a list of strings", true)
}

/// One string, number or boolean, or a list of at least one, each as text.
pub(super) fn values(node: Node, place: &Place) -> Result<Vec<String>, ParseError> {
    texts(node, place, "a string, a number, a boolean or a list of them", false)
}

fn texts(
    node: Node,
    place: &Place,
    expected: &'static str,
    only_strings: bool,
) -> Result<Vec<String>, ParseError> {
    let list = match node {
        Node::List(list) => list,
        one => alloc::vec![one],
    };
    if list.is_empty() {
        return Err(Problem::Empty.at(place));
    }
    let read = list.into_iter().map(|item| match item {
        Node::Scalar { text, is_string } if is_string || !only_strings => Ok(text),
        _ => Err(Problem::Expected(expected).at(place)),
    });
    read.collect()
}
