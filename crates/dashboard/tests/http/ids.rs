//! What a page calls its parts: a label, a heading and the script that draws a page anew find them by that.

use std::collections::BTreeSet;

use crate::support::{Bench, Sample, access, pages, questions};

/// The values of an attribute. In a text, quotes are escaped.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let parts: Vec<_> = page.split(&format!(" {attribute}=\"")).skip(1).collect();
    parts.iter().filter_map(|part| part.split('"').next()).collect()
}

#[track_caller]
fn is_well_named(path: &str, page: &str) {
    let (ids, mut known) = (values(page, "id"), BTreeSet::new());
    assert!(!ids.is_empty(), "{path}: {page}");
    for id in ids {
        assert!(known.insert(id), "{path} has two parts called {id:?}");
    }
    for attribute in ["for", "aria-labelledby"] {
        let missing: Vec<_> = values(page, attribute).into_iter().filter(|id| !known.contains(id)).collect();
        assert!(missing.is_empty(), "{path}: {attribute} names {missing:?}, which are not there");
    }
}

#[tokio::test]
async fn no_two_parts_of_a_page_have_one_id_and_every_label_has_its_part() {
    let fleet = Sample::of(200, "well");
    let things: Vec<String> = (0..100).map(|number| fleet.thing(number).to_string()).collect();
    let policy = fleet.policy();
    let bench = Bench::with(fleet, access()).await;
    let session = bench.session().await;
    assert_eq!(bench.post("/try/SN-1/provision", &session, "").await.status, 303);
    for path in pages(&things[0], &policy) {
        let page = bench.page(&path, &session).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        is_well_named(&path, &page.body);
    }
    for (path, form) in questions(&things) {
        is_well_named(&path, &bench.post(&path, &session, &form).await.body);
    }
}
