//! The certificates of a thing: one or two, in order, without the room that a tree keeps for more.

use std::ops::Deref;

use fleetkey_model::certificate::CertificateId;
use serde::{Deserialize, Serialize};

/// A few certificates by their ids, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<CertificateId>")]
pub struct Ids(Vec<CertificateId>);

impl Ids {
    pub(in crate::inventory) fn insert(&mut self, id: CertificateId) {
        if let Err(place) = self.0.binary_search(&id) {
            // A thing with one certificate is the rule: no more room than is needed.
            self.0.reserve_exact(1);
            self.0.insert(place, id);
        }
    }

    pub(in crate::inventory) fn remove(&mut self, id: &CertificateId) {
        if let Ok(place) = self.0.binary_search(id) {
            self.0.remove(place);
        }
    }
}

/// As they were kept, by a hand that may have changed their order.
impl From<Vec<CertificateId>> for Ids {
    fn from(mut ids: Vec<CertificateId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        ids.shrink_to_fit();
        Self(ids)
    }
}

impl Deref for Ids {
    type Target = [CertificateId];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Ids {
    type Item = &'a CertificateId;
    type IntoIter = std::slice::Iter<'a, CertificateId>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_once_and_in_order_however_it_came() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|der| CertificateId::of_der(der));
        let mut ids = Ids::from(vec![c, a, c]);
        [b, a].into_iter().for_each(|id| ids.insert(id));
        assert!(ids.len() == 3 && ids.is_sorted());
        ids.remove(&b);
        ids.remove(&b);
        assert!(!ids.contains(&b) && ids.contains(&a) && ids.contains(&c));
        let kept = serde_json::to_string(&ids).unwrap();
        assert_eq!(serde_json::from_str::<Ids>(&kept).unwrap(), ids);
    }
}
