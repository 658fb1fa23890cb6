//! The pages that there are.

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
