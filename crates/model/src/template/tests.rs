//! Templates: AWS's own example, every function, and what is refused and where.

use super::*;
use alloc::format;
use alloc::string::ToString;
use std::vec;

const ID: CertificateId = CertificateId::from_bytes([0xab; 32]);

/// A template with these resources' properties put in; `{}` for the thing's extra keys.
fn body(parameters: &str, thing: &str, rest: &str) -> String {
    format!(
        r#"{{"Parameters": {parameters}, "Resources": {{
            "certificate": {{"Type": "AWS::IoT::Certificate", "Properties":
                {{"CertificateId": {{"Ref": "AWS::IoT::Certificate::Id"}}}}}},
            "thing": {{"Type": "AWS::IoT::Thing", "Properties": {thing}}}{rest}}}"#
    )
}

fn parse(thing: &str) -> Result<Template, TemplateError> {
    let parameters = r#"{"Serial": {"Type": "String"}, "Line": {"Type": "String", "Default": "west-2-a"}}"#;
    let mappings = r#"}, "Mappings": {"Region": {"west": {"url": "w.example"}}}"#;
    Template::parse(&body(parameters, thing, mappings))
}

fn resolve(template: &Template, serial: &str) -> Result<ResolvedTemplate, ResolveError> {
    template.resolve(&BTreeMap::from([("Serial".to_string(), serial.to_string())]), &ID)
}

/// The value of one attribute with this expression.
fn attribute(expression: &str) -> Result<String, ResolveError> {
    let thing = format!(r#"{{"ThingName": {{"Ref": "Serial"}}, "AttributePayload": {{"x": {expression}}}}}"#);
    let resolved = resolve(&parse(&thing).unwrap(), "A1")?;
    Ok(resolved.thing.attributes.get("x").unwrap().clone())
}

/// Where and what is wrong with a thing of these properties.
fn problem(thing: &str) -> (String, Problem) {
    match parse(thing) {
        Err(TemplateError::At { path, problem }) => (path, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_fleet_template_of_the_documentation_resolves() {
    let template = Template::parse(
        r#"{"Parameters":{"SerialNumber":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
        "Resources":{
         "certificate":{"Type":"AWS::IoT::Certificate","OverrideSettings":{"Status":"REPLACE"},"Properties":{
            "CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active","ThingPrincipalType":"EXCLUSIVE_THING"}},
         "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"DevicePolicy"}},
         "thing":{"Type":"AWS::IoT::Thing","OverrideSettings":{"ThingGroups":"DO_NOTHING","AttributePayload":"MERGE","ThingTypeName":"FAIL"},
          "Properties":{"ThingName":{"Ref":"SerialNumber"},"ThingTypeName":"pump","ThingGroups":["fleet","west"],"AttributePayload":{"version":"v1"}}}},
        "DeviceConfiguration":{"Url":"https://example"}}"#,
    )
    .unwrap();
    assert_eq!(template.required_parameters().collect::<Vec<_>>(), ["SerialNumber"]);
    let parameters = BTreeMap::from([("SerialNumber".to_string(), "A1".to_string())]);
    let resolved = template.resolve(&parameters, &ID).unwrap();
    assert_eq!(
        resolved.certificate,
        ResolvedCertificate {
            status: CertificateStatus::Active,
            on_status: Override::Replace,
            principal_type: ThingPrincipalType::ExclusiveThing,
        }
    );
    assert_eq!(resolved.policies, [ResolvedPolicy::Named(PolicyName::new("DevicePolicy").unwrap())]);
    assert_eq!(resolved.thing.name.as_str(), "A1");
    assert_eq!(resolved.thing.groups.unwrap().len(), 2);
    assert_eq!(
        resolved.thing.overrides,
        ThingOverrides {
            attributes: Override::Merge,
            type_name: Override::Fail,
            groups: Override::DoNothing,
        }
    );
    assert_eq!(resolved.device_configuration.get("Url").unwrap(), "https://example");
}

#[test]
fn every_function_gives_what_it_promises() {
    let table = vec![
        (r#""plain""#, "plain"),
        (r#"{"Ref": "Serial"}"#, "A1"),
        (r#"{"Ref": "Line"}"#, "west-2-a"),
        (r#"{"Fn::Join": ["-", ["pump", {"Ref": "Serial"}]]}"#, "pump-A1"),
        (r#"{"Fn::Join": ["", []]}"#, ""),
        (r#"{"Fn::Select": [1, ["a", "b"]]}"#, "b"),
        (r#"{"Fn::Select": ["0", {"Fn::Split": ["-", {"Ref": "Line"}]}]}"#, "west"),
        (r#"{"Fn::Join": ["/", {"Fn::Split": ["-", "a-b-c"]}]}"#, "a/b/c"),
        (r#"{"Fn::Sub": "x-${Serial}-${Line}-${!Kept}"}"#, "x-A1-west-2-a-${Kept}"),
        (r#"{"Fn::Sub": ["${A}${Serial}", {"A": {"Ref": "Line"}}]}"#, "west-2-aA1"),
        (
            r#"{"Fn::FindInMap": ["Region", {"Fn::Select": [0, {"Fn::Split": ["-", {"Ref": "Line"}]}]}, "url"]}"#,
            "w.example",
        ),
    ];
    for (expression, expected) in table {
        assert_eq!(attribute(expression).as_deref(), Ok(expected), "{expression}");
    }
    let id = attribute(r#"{"Ref": "AWS::IoT::Certificate::Id"}"#);
    assert_eq!(id, Ok(ID.to_string()));
}

#[test]
fn what_cannot_be_filled_says_why() {
    let select = attribute(r#"{"Fn::Select": [2, ["a", "b"]]}"#);
    assert_eq!(select, Err(ResolveError::Select { index: "2".into(), len: 2 }));
    let mapping = attribute(r#"{"Fn::FindInMap": ["Region", "north", "url"]}"#);
    assert_eq!(mapping, Err(ResolveError::NoMapping("Region.north.url".into())));
    let template = parse(r#"{"ThingName": {"Ref": "Serial"}}"#).unwrap();
    let missing = template.resolve(&BTreeMap::new(), &ID);
    assert_eq!(missing, Err(ResolveError::MissingParameter("Serial".into())));
    assert!(missing.unwrap_err().is_parameter());
    for serial in ["../x", "", &"s".repeat(129)] {
        assert!(matches!(resolve(&template, serial), Err(ResolveError::Name(_))), "{serial}");
    }
}

#[test]
fn a_device_cannot_choose_the_certificate_id() {
    let thing = r#"{"ThingName": {"Ref": "Serial"}, "AttributePayload": {"x": {"Ref": "AWS::IoT::Certificate::Id"}}}"#;
    let parameters = r#"{"Serial": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}}"#;
    let template = Template::parse(&body(parameters, thing, "}")).unwrap();
    let sent = BTreeMap::from([
        ("Serial".to_string(), "A1".to_string()),
        (CERTIFICATE_ID_PARAMETER.to_string(), "forged".to_string()),
    ]);
    let resolved = template.resolve(&sent, &ID).unwrap();
    assert_eq!(resolved.thing.attributes.get("x"), Some(&ID.to_string()));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let properties = "Resources.thing.Properties";
    assert_eq!(problem("{}"), (format!("{properties}.ThingName"), Problem::Missing));
    assert_eq!(
        problem(r#"{"ThingName": {"Ref": "Other"}}"#),
        (format!("{properties}.ThingName.Ref"), Problem::Undeclared("Other".into()))
    );
    assert_eq!(
        problem(r#"{"ThingName": {"Fn::Base64": "x"}}"#),
        (format!("{properties}.ThingName.Fn::Base64"), Problem::Function("Fn::Base64".into()))
    );
    assert_eq!(
        problem(r#"{"ThingName": {"Fn::Sub": "${Unknown}"}}"#),
        (format!("{properties}.ThingName.Fn::Sub"), Problem::Undeclared("Unknown".into()))
    );
    assert_eq!(problem(r#"{"ThingName": 1}"#).0, format!("{properties}.ThingName"));
    assert_eq!(problem(r#"{"ThingName": "x", "Billing": "y"}"#).0, format!("{properties}.Billing"));
    assert_eq!(problem(r#"{"ThingName": "x", "ThingGroups": "g"}"#).0, format!("{properties}.ThingGroups"));
}

#[test]
fn there_is_exactly_one_thing_and_one_certificate_known_by_its_id() {
    let refused = |body: &str| Template::parse(body).unwrap_err().to_string();
    let certificate = r#""c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}}"#;
    let thing = r#""t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}"#;
    assert!(
        refused(&format!(r#"{{"Resources": {{{certificate}}}}}"#)).contains("exactly one AWS::IoT::Thing")
    );
    assert!(
        refused(&format!(r#"{{"Resources": {{{thing}}}}}"#)).contains("exactly one AWS::IoT::Certificate")
    );
    let twice = certificate.replace(r#""c""#, r#""d""#);
    let two = refused(&format!(r#"{{"Resources": {{{certificate}, {twice}, {thing}}}}}"#));
    assert!(two.contains("Resources.d: a template has exactly one"), "{two}");
    let literal = certificate.replace(r#"{"Ref": "AWS::IoT::Certificate::Id"}"#, r#""abc""#);
    let refusal = refused(&format!(r#"{{"Resources": {{{literal}, {thing}}}}}"#));
    assert!(refusal.contains("Resources.c.Properties.CertificateId"), "{refusal}");
    let pem = certificate.replace("CertificateId\"", "CertificatePem\"");
    assert!(refused(&format!(r#"{{"Resources": {{{pem}, {thing}}}}}"#)).contains("CertificatePem: unknown"));
}

#[test]
fn bodies_that_are_no_templates_are_refused() {
    assert!(matches!(Template::parse("{"), Err(TemplateError::Json(_))));
    assert_eq!(Template::parse(&" ".repeat(10_241)), Err(TemplateError::TooLong(10_241)));
    for bad in [
        "[]",
        "{}",
        r#"{"Resources": []}"#,
        r#"{"Conditions": {}}"#,
        r#"{"Parameters": {"A": {"Type": "Number"}}}"#,
    ] {
        assert!(matches!(Template::parse(bad), Err(TemplateError::At { .. })), "{bad}");
    }
    let deep = format!("{}\"x\"{}", r#"{"Fn::Select": ["#.repeat(60), ", []]}".repeat(60));
    let body = body("{}", &format!(r#"{{"ThingName": {deep}}}"#), "}");
    assert!(matches!(Template::parse(&body), Err(TemplateError::At { .. })));
}

fn policy(properties: &str) -> Result<ResolvedPolicy, String> {
    let rest = format!(r#", "p": {{"Type": "AWS::IoT::Policy", "Properties": {properties}}}}}"#);
    let parameters = r#"{"Serial": {"Type": "String"}}"#;
    let template = Template::parse(&body(parameters, r#"{"ThingName": "x"}"#, &rest));
    let template = template.map_err(|error| error.to_string())?;
    let resolved = resolve(&template, "A1").map_err(|error| error.to_string())?;
    Ok(resolved.policies.first().unwrap().clone())
}

#[test]
fn a_policy_has_a_name_or_a_document_as_text_or_inline() {
    let inline = policy(
        r#"{"PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Resource": {"Fn::Sub": "x/${Serial}"}}]}}"#,
    );
    let Ok(ResolvedPolicy::Document { name, text }) = inline else {
        panic!("{inline:?}");
    };
    assert_eq!(text, r#"{"Statement":[{"Resource":"x/A1"}],"Version":"2012-10-17"}"#);
    assert!(name.as_str().len() == 40 && !name.as_str().contains(|c: char| c.is_lowercase()));
    let escaped = policy(r#"{"PolicyDocument": "{\"Resource\": \"${iot:ClientId}\"}"}"#);
    assert!(matches!(escaped, Ok(ResolvedPolicy::Document { text, .. }) if text.contains("${iot:ClientId}")));
    assert!(policy(r#"{"PolicyName": "a", "PolicyDocument": "b"}"#).is_err());
    assert!(policy("{}").is_err());
    let joined = policy(r#"{"PolicyName": {"Fn::Join": ["", ["a"]]}}"#).unwrap_err();
    assert!(joined.contains("Fn::Join is unknown or not allowed here"), "{joined}");
}

#[test]
fn settings_that_do_not_exist_are_refused() {
    let template = |setting: &str| {
        let thing = format!(r#"{{"ThingName": "x"}}, "OverrideSettings": {{{setting}}}"#);
        Template::parse(&body("{}", &thing, "}"))
    };
    assert!(template(r#""ThingGroups": "MERGE""#).is_ok());
    for bad in [r#""ThingTypeName": "MERGE""#, r#""ThingGroups": "merge""#, r#""ThingName": "FAIL""#] {
        assert!(template(bad).is_err(), "{bad}");
    }
}
