//! Pages of a list, in both of AWS's styles: `marker`/`pageSize`/`isAscendingOrder` → `nextMarker`, and
//! `nextToken`/`maxResults` → `nextToken`.
//!
//! A token names the last item that was given, so that a list which changes between pages loses nothing else.

use std::ops::RangeInclusive;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;

use super::refusal::Refusal;
use super::text;

/// What a token begins with before it is encoded, so that a foreign one is refused.
const MARK: &str = "fleetkey-page-1:";
/// The longest token that botocore lets through is longer than any of ours.
const MAX_TOKEN: usize = 4096;

/// The members that ask for a page; `#[serde(flatten)]` puts them into an operation's input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageQuery {
    #[serde(alias = "nextToken", alias = "Marker")]
    marker: Option<String>,
    #[serde(alias = "maxResults", alias = "MaxItems", deserialize_with = "text::optional_number")]
    page_size: Option<u32>,
    #[serde(deserialize_with = "text::optional_boolean")]
    is_ascending_order: Option<bool>,
}

/// One page that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The key of the last item that the caller has.
    pub(crate) after: Option<String>,
    /// How many items it may hold.
    pub(crate) limit: usize,
    /// Whether keys rise; AWS's default differs by operation.
    pub(crate) ascending: Option<bool>,
}

impl PageQuery {
    /// The page, with as many items as `default` unless the caller asked for a number in `sizes`.
    ///
    /// # Errors
    /// `InvalidRequestException` when the number is out of range or the token is not ours.
    pub(crate) fn page(&self, sizes: RangeInclusive<u32>, default: u32) -> Result<Page, Refusal> {
        let limit = self.page_size.unwrap_or(default);
        if limit < *sizes.start() {
            return Err(out_of_range(limit, "greater", *sizes.start()));
        }
        if limit > *sizes.end() {
            return Err(out_of_range(limit, "less", *sizes.end()));
        }
        let after = match self.marker.as_deref() {
            None | Some("") => None,
            Some(token) => Some(decode(token)?),
        };
        Ok(Page {
            after,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            ascending: self.is_ascending_order,
        })
    }
}

impl Page {
    /// This page of `items`, whose keys rise strictly (or fall, with `ascending` [`Some(false)`]), and the token of
    /// the next page if there is one.
    pub(crate) fn cut<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let falling = self.ascending == Some(false);
        let seen = |item: &T| match &self.after {
            None => false,
            Some(after) if falling => key(item) >= *after,
            Some(after) => key(item) <= *after,
        };
        let mut rest = items.into_iter().skip_while(seen);
        let page: Vec<T> = rest.by_ref().take(self.limit).collect();
        let next = rest.next().and_then(|_| page.last()).map(|last| encode(&key(last)));
        (page, next)
    }
}

fn out_of_range(found: u32, side: &str, bound: u32) -> Refusal {
    let constraint = format!("Member must have value {side} than or equal to {bound}");
    Refusal::constraint(Some(&found.to_string()), "pageSize", &constraint)
}

fn encode(key: &str) -> String {
    Base64UrlUnpadded::encode_string(format!("{MARK}{key}").as_bytes())
}

fn decode(token: &str) -> Result<String, Refusal> {
    let text = (token.len() <= MAX_TOKEN).then(|| Base64UrlUnpadded::decode_vec(token).ok()).flatten();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_deref().and_then(|text| text.strip_prefix(MARK));
    key.map(str::to_owned).ok_or_else(|| Refusal::invalid("Invalid pagination token"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn page(query: Value) -> Result<Page, Refusal> {
        serde_json::from_value::<PageQuery>(query).unwrap().page(1..=250, 25)
    }

    /// All pages of 0 to 9 as they are given out.
    fn walk(size: u32, ascending: bool) -> Vec<Vec<String>> {
        let mut items: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        if !ascending {
            items.reverse();
        }
        let mut pages = Vec::new();
        let mut token = Value::Null;
        loop {
            let query = json!({"marker": token, "pageSize": size.to_string(), "isAscendingOrder": ascending});
            let (items, next) = page(query).unwrap().cut(items.clone(), String::clone);
            pages.push(items);
            match next {
                Some(next) => token = next.into(),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_cover_the_list_once_and_the_last_has_no_token() {
        for (size, pages) in [(3, 4), (5, 2), (10, 1), (1, 10)] {
            for ascending in [true, false] {
                let walked = walk(size, ascending);
                assert_eq!(walked.len(), pages);
                let mut all = walked.concat();
                if !ascending {
                    all.reverse();
                }
                assert_eq!(all, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn both_styles_ask_for_the_same() {
        let (_, token) = page(json!({"maxResults": 1})).unwrap().cut(["a", "b"], |item| (*item).to_owned());
        let expected = Page { after: Some("a".into()), limit: 2, ascending: None };
        assert_eq!(page(json!({"nextToken": token, "maxResults": 2})), Ok(expected.clone()));
        assert_eq!(page(json!({"marker": token, "pageSize": "2"})), Ok(expected));
    }

    #[test]
    fn a_foreign_token_or_a_page_of_none_is_refused() {
        for query in [json!({"marker": "bm90IG91cnM"}), json!({"marker": "%%"}), json!({"pageSize": 0})] {
            assert_eq!(page(query).unwrap_err().code, "InvalidRequestException");
        }
        let message = page(json!({"pageSize": 251})).unwrap_err().message;
        assert!(message.ends_with("Member must have value less than or equal to 250"), "{message}");
    }
}
