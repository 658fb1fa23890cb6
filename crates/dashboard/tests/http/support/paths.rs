//! The pages that there are.

use fleetkey_model::certificate::CertificateId;

/// All that the router answers with a page, of a fleet with this device, this policy and the campaign `autumn`; with queries
/// that find all, some and nothing.
pub(crate) fn pages(thing: &str, policy: &str) -> Vec<String> {
    let fixed = [
        "/",
        "/devices",
        "/devices?q=99",
        "/devices?after=pump-050000",
        "/devices?filter=attention",
        "/devices?q=nothing-like-it",
        "/rotations",
        "/findings",
        "/findings?after=pump-050000",
        "/inventory",
        "/inventory?q=99&status=ACTIVE",
        "/campaigns",
        "/campaigns/autumn",
        "/campaigns?new=1",
        "/policies",
        "/provisioning",
        "/setup",
        "/cleanup",
        "/journal",
        "/journal?before=500",
        "/try",
        "/try/SN-1",
        "/settings",
    ];
    let asked = ["iot:Connect", "iot:Publish", "iot:Receive"]
        .map(|action| format!("/policies?thing={thing}&action={action}&topic=a/b"));
    let one = ["", "/rotation", "/policies"].map(|page| format!("/devices/{thing}{page}"));
    let versions = ["", "?from=1&to=3"].map(|query| format!("/policies/{policy}{query}"));
    fixed.map(str::to_owned).into_iter().chain(asked).chain(one).chain(versions).collect()
}

/// The forms that are answered with a question before anything is ordered, with what is entered, for devices of the fleet.
pub(crate) fn questions(things: &[String]) -> Vec<(String, String)> {
    let selected = things.iter().map(|thing| format!("thing={thing}")).collect::<Vec<_>>().join("&");
    let revoke = format!("/devices/{}/certificates/{}/revoke", things[0], CertificateId::of_der(b"new"));
    let draft = "name=summer&why=yearly&things=pump-*&older=30&rate=120&patience=10";
    [
        ("/devices/rotate", selected.as_str()),
        (&revoke, ""),
        ("/campaigns", draft),
        ("/campaigns/autumn/abort", ""),
        ("/setup", ""),
        ("/cleanup", ""),
        ("/settings/link", ""),
    ]
    .map(|(path, form)| (path.to_owned(), form.to_owned()))
    .into()
}
