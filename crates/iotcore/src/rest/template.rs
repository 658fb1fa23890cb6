//! Path templates of AWS's service models: `/things/{thingName}/principals`, matched against a raw path.
//!
//! The path is split before it is decoded: a `%2F` belongs to the value, as in `/topics/a%2Fb`.

use super::text;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// One segment, not empty.
    Label(String),
    /// All segments that are left, at least one character.
    Greedy(String),
}

/// A template's labels and what the path has in their place, decoded.
pub(super) type Labels = Vec<(String, String)>;

impl Template {
    /// Reads a template; braces mark labels, `{name+}` takes the rest of the path.
    pub(super) fn parse(text: &str) -> Self {
        Self { segments: split(text).map(Segment::parse).collect() }
    }

    /// The labels' values if the raw path fits.
    pub(super) fn matches(&self, path: &str) -> Option<Labels> {
        let mut labels = Labels::new();
        let mut rest = path.strip_prefix('/')?;
        let mut last = self.segments.is_empty();
        if last && !rest.is_empty() {
            return None;
        }
        for (at, segment) in self.segments.iter().enumerate() {
            if last {
                return None;
            }
            if let Segment::Greedy(name) = segment {
                let value = (!rest.is_empty()).then(|| text::percent_decode(rest))??;
                labels.push((name.clone(), value));
                return (at + 1 == self.segments.len()).then_some(labels);
            }
            let (here, after) = match rest.split_once('/') {
                Some((here, after)) => (here, Some(after)),
                None => (rest, None),
            };
            let value = text::percent_decode(here)?;
            match segment {
                Segment::Literal(literal) if *literal != value => return None,
                Segment::Label(_) if value.is_empty() => return None,
                Segment::Label(name) => labels.push((name.clone(), value)),
                Segment::Literal(_) | Segment::Greedy(_) => {}
            }
            // One slash at the end changes nothing: Lambda's model has it in some paths, clients drop it.
            last = after.is_none_or(str::is_empty);
            rest = after.unwrap_or_default();
        }
        last.then_some(labels)
    }

    /// How many segments are literal: of two templates that fit, the one with more is meant.
    pub(super) fn literals(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count()
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(label) => match label.strip_suffix('+') {
                Some(label) => Self::Greedy(label.to_owned()),
                None => Self::Label(label.to_owned()),
            },
            None => Self::Literal(text.to_owned()),
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(template: &str, path: &str) -> Option<Vec<String>> {
        let labels = Template::parse(template).matches(path)?;
        Some(labels.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn a_label_takes_one_segment_and_keeps_an_encoded_slash() {
        assert_eq!(labels("/topics/{topic}", "/topics/a%2Fb%20c"), Some(vec!["a/b c".into()]));
        assert_eq!(labels("/topics/{topic}", "/topics/a/b"), None);
        assert_eq!(labels("/topics/{topic}", "/topics/"), None);
        assert_eq!(labels("/topics/{topic}", "/topics"), None);
        assert_eq!(labels("/topics/{topic+}", "/topics/a/b"), Some(vec!["a/b".into()]));
    }

    #[test]
    fn literals_fit_whole_and_a_slash_at_the_end_changes_nothing() {
        assert_eq!(labels("/endpoint", "/endpoint"), Some(vec![]));
        assert_eq!(labels("/endpoint", "/endpoint/"), Some(vec![]));
        assert_eq!(labels("/endpoint", "/endpoints"), None);
        assert_eq!(labels("/endpoint", "/endpoint/x"), None);
        assert_eq!(labels("/", "/"), Some(vec![]));
        assert_eq!(labels("/", "/x"), None);
    }

    #[test]
    fn bytes_that_are_no_text_fit_nothing() {
        assert_eq!(labels("/topics/{topic}", "/topics/%ff"), None);
        assert_eq!(labels("/topics/{topic}", "/topics/%4"), None);
    }
}
