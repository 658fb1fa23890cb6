//! What statements select, after the examples and tables of the Developer Guide, and that nothing makes them panic.

use std::net::{IpAddr, Ipv4Addr};

use fleetkey_mqtt::{Properties, Property};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use fleetkey_model::certificate::CertificateId;
use fleetkey_model::name::ClientId;
use fleetkey_model::time::Timestamp;

fn on(version: SqlVersion, sql: &str, payload: &[u8]) -> Selected {
    let client = ClientId::new("pump-1").unwrap();
    let certificate = CertificateId::from_bytes([0xAB; 32]);
    let source = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut properties = Properties::new();
    properties.push(Property::ContentType("text/plain".into()));
    properties.push(Property::UserProperty("k".into(), "v".into()));
    let sender = Sender::Device { client: Some(&client), certificate: &certificate, source };
    let now = Timestamp::from_millis(1_700_000_000_123);
    let message = Message::new("a/b/c", payload, &properties, sender, "123456789012", "trace", now);
    Statement::parse(sql, version).unwrap_or_else(|error| panic!("{sql}: {error}")).select(&message)
}

fn made(sql: &str, payload: &Json) -> Json {
    match on(SqlVersion::V2016, sql, payload.to_string().as_bytes()) {
        Selected::Made(bytes) => serde_json::from_slice(&bytes).unwrap(),
        other => panic!("{sql}: {other:?}"),
    }
}

/// The value of an expression, `None` when it is Undefined.
fn value(expr: &str, payload: &Json) -> Value {
    made(&format!("SELECT {expr} AS it FROM 'a/#'"), payload).get("it").cloned()
}

#[test]
fn the_statements_of_the_guide() {
    let payload = json!({"color": "red", "temperature": 50});
    for (sql, result) in [
        ("SELECT color FROM 'a/b'", json!({"color": "red"})),
        ("select color as my_color, temperature as t from 'a/b'", json!({"my_color": "red", "t": 50})),
        ("SELECT *, 15 as speed FROM 'a/b'", json!({"color": "red", "temperature": 50, "speed": 15})),
        ("SELECT VALUE color FROM 'a/b'", json!("red")),
        ("SELECT color AS foo.bar, missing FROM 'a/b'", json!({"foo": {"bar": "red"}})),
        ("SELECT topic(2), value FROM 'a/b'", json!({"topic(2)": "b"})),
        ("SELECT value FROM 'a/b' WHERE temperature > 49.5 AND NOT color <> 'red'", json!({})),
    ] {
        assert_eq!(made(sql, &payload), result, "{sql}");
    }
    let nested = json!({"mydata": {"item2": {"0": {"my-key": "v"}}}, "lat_long": [47.606, -122.332]});
    let sql = "SELECT * FROM 'a' WHERE get(get(get(mydata,\"item2\"),\"0\"),\"my-key\") = \"v\"";
    assert_eq!(on(SqlVersion::V2016, sql, nested.to_string().as_bytes()), Selected::Payload);
    let sql = "SELECT {'latitude': get(lat_long, 0),'longitude':lat_long[1]} as it FROM 'a/b'";
    assert_eq!(made(sql, &nested), json!({"it": {"latitude": 47.606, "longitude": -122.332}}));
}

#[test]
fn a_condition_that_is_not_true_selects_nothing() {
    for condition in
        ["missing > 5", "missing = missing", "NOT missing", "'true'", "1", "a AND missing", "null"]
    {
        let sql = format!("SELECT * FROM 'a' WHERE {condition}");
        assert_eq!(on(SqlVersion::V2015, &sql, br#"{"a":true}"#), Selected::Nothing, "{condition}");
    }
    let sql = "SELECT * FROM 'a' WHERE isUndefined(missing) AND isNull(n) AND NOT isNull(missing)";
    assert_eq!(on(SqlVersion::V2015, sql, br#"{"n":null}"#), Selected::Payload);
}

#[test]
fn a_payload_that_is_no_json_passes_as_it_is_and_has_no_members() {
    let raw = [0xFF, 0x00, b'{'];
    assert_eq!(on(SqlVersion::V2015, "SELECT * FROM 'a'", &raw), Selected::Payload);
    let sql = "SELECT encode(*, 'base64') AS data, color, clientid() AS c FROM 'a'";
    let expected = json!({"data": "/wB7", "c": "pump-1"}).to_string().into_bytes();
    assert_eq!(on(SqlVersion::V2015, sql, &raw), Selected::Made(expected));
    let sql = "SELECT decode(encode(*, 'base64'), 'base64') AS value FROM 't' \
               WHERE decode(encode(*, 'base64'), 'base64') > 50";
    assert_eq!(on(SqlVersion::V2015, sql, b"80"), Selected::Made(br#"{"value":80}"#.to_vec()));
}

#[test]
fn operators_follow_their_tables() {
    let payload = json!({"i": 7, "d": 2.5, "s": "x", "n": "5", "l": [1, 2], "z": 0});
    for (expr, expected) in [
        ("i + d", Some(json!(9.5))),
        ("i / 2", Some(json!(3))),
        ("i % 4 - 1 * 2", Some(json!(1))),
        ("s + i", Some(json!("x7"))),
        ("n * 2", Some(json!(10))),
        ("s * 2", None),
        ("i / z", None),
        ("i + missing", None),
        ("s + missing", None),
        ("n > 4", Some(json!(true))),
        ("s > 4", None),
        ("s = 4", Some(json!(false))),
        ("i = 7.0", Some(json!(true))),
        ("l = [1, 2]", Some(json!(true))),
        ("i IN [1, 7]", Some(json!(true))),
        ("i in l", Some(json!(false))),
        ("i in s", None),
        ("-i", Some(json!(-7))),
        ("- -d", Some(json!(2.5))),
        ("1 = 1 OR missing", None),
        ("'TRUE' AND 1 = 1", Some(json!(true))),
        ("CASE i WHEN 1 THEN 'one' WHEN 7 THEN 'seven' ELSE 'many' END", Some(json!("seven"))),
        ("CASE i WHEN 1 THEN 'one' END", None),
        ("CASE true WHEN d > 9 THEN 'hot' ELSE 'cold' END", Some(json!("cold"))),
        ("10.0", Some(json!(10))),
        ("170141183460469231731687303715884105727 + 1", Some(json!(1.7014118346046923e38))),
    ] {
        assert_eq!(value(expr, &payload), expected, "{expr}");
    }
}

#[test]
fn functions_are_worth_what_the_guide_says() {
    let payload = json!({"s": "Hello", "o": {"a": [1]}, "n": null, "t": "é"});
    for (expr, expected) in [
        ("topic()", Some(json!("a/b/c"))),
        ("topic(3)", Some(json!("c"))),
        ("topic(4)", None),
        ("topic(0)", None),
        ("clientid()", Some(json!("pump-1"))),
        ("principal()", Some(json!("ab".repeat(32)))),
        ("timestamp()", Some(json!(1_700_000_000_123_u64))),
        ("traceid()", Some(json!("trace"))),
        ("accountid()", Some(json!("123456789012"))),
        ("sourceip()", Some(json!("127.0.0.1"))),
        ("get_mqtt_property('content_type')", Some(json!("text/plain"))),
        ("get_mqtt_property('response_topic')", None),
        ("get_user_properties('k')", Some(json!(["v"]))),
        ("get_user_properties()", Some(json!([{"k": "v"}]))),
        ("lower(s)", Some(json!("hello"))),
        ("upper(missing)", None),
        ("concat(1, 'hello')", Some(json!("1hello"))),
        ("concat('he', 'is', 'man')", Some(json!("heisman"))),
        ("concat([1,2,3],'hello')", Some(json!([1, 2, 3, "hello"]))),
        ("concat()", None),
        ("concat(1, 2)", None),
        ("substring('hello', 2, 4)", Some(json!("ll"))),
        ("substring('hello', 3, 2)", Some(json!(""))),
        ("substring('hello', -4)", Some(json!("hello"))),
        ("startswith('ranger','ran')", Some(json!(true))),
        ("endswith('cat','at')", Some(json!(true))),
        ("indexof('abcd', 'bc')", Some(json!(1))),
        ("indexof('abcd', 'x')", Some(json!(-1))),
        ("length(t)", Some(json!(1))),
        ("numbytes(t)", Some(json!(2))),
        ("cast('7.6' as int)", Some(json!(8))),
        ("cast(true as Decimal)", Some(json!(1))),
        ("cast(0 as boolean)", Some(json!(false))),
        ("cast(o as String)", Some(json!(r#"{"a":[1]}"#))),
        ("get_or_default(n, 'd')", Some(json!("d"))),
        ("get_or_default(missing, 'd')", Some(json!("d"))),
        ("nanvl('x', 5)", Some(json!(5))),
        ("encode(s, 'base64')", Some(json!("SGVsbG8="))),
        ("decode('SGVsbG8=', 'base64')", Some(json!("Hello"))),
        ("decode(encode('{\"a\":1}', 'base64'), 'base64').a", Some(json!(1))),
        ("get(o, 'a')[0]", Some(json!(1))),
        ("abs('-5.123')", Some(json!(5.123))),
        ("trunc(2.3456, 2)", Some(json!(2.34))),
        ("mod(8, 3)", Some(json!(2))),
        ("sqrt(-1)", None),
        ("parse_time('yyyy', timestamp())", Some(json!("2023"))),
    ] {
        assert_eq!(value(expr, &payload), expected, "{expr}");
    }
    assert_ne!(value("newuuid()", &payload), value("newuuid()", &payload));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (sql, names) in [
        ("SELECT regexp_matches(a, 'x') FROM 'a'", "regexp_matches"),
        ("SELECT get_thing_shadow('a', 'b') FROM 'a'", "get_thing_shadow"),
        ("SELECT nonsense(a) FROM 'a'", "Unknown function nonsense"),
        ("SET @a = 1 SELECT * FROM 'a'", "SET"),
        ("SELECT (SELECT a FROM b) FROM 'a'", "Nested object queries"),
        ("SELECT [1] FROM 'a'", "2016-03-23"),
        ("SELECT * FROM 'a/#/b'", "topic filter"),
        ("SELECT * FROM a", "topic filter"),
        ("SELECT FROM 'a'", "expression"),
        ("SELECT lower() FROM 'a'", "arguments"),
        ("SELECT a FROM 'a' WHERE", "the end"),
        ("SELECT 'open FROM 'a'", "quote"),
        ("SELECT a # FROM 'a'", "'#'"),
        ("", "SELECT"),
    ] {
        let error = Statement::parse(sql, SqlVersion::V2015).unwrap_err().to_string();
        assert!(error.contains(names), "{sql}: {error}");
    }
}

#[test]
fn nesting_and_size_are_bounded() {
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(5000), close.repeat(5000));
        Statement::parse(&format!("SELECT {open}1{close} FROM 'a'"), SqlVersion::V2016)
    };
    for (open, close) in [("(", ")"), ("-", ""), ("not ", ""), ("[", "]"), ("abs(", ")"), ("case ", "")] {
        assert!(deep(open, close).is_err(), "{open}");
    }
    assert!(Statement::parse(&" ".repeat(MAX_SQL + 1), SqlVersion::V2015).is_err());
    let long = format!("SELECT 0{} AS sum FROM 'a'", " + 1".repeat(10_000));
    assert_eq!(made(&long, &json!({})), json!({"sum": 10_000}));
    let copies = format!("SELECT concat({}) AS a FROM 'a'", vec!["a"; 2000].join(","));
    let payload = json!({"a": "x".repeat(100_000)}).to_string();
    assert_eq!(on(SqlVersion::V2015, &copies, payload.as_bytes()), Selected::TooLarge);
}

#[test]
fn the_edition_of_2015_keeps_decimals_as_they_are() {
    let selected = on(SqlVersion::V2015, "SELECT a, b + 0 AS b FROM 'a'", br#"{"a":10.0,"b":3.0}"#);
    assert_eq!(selected, Selected::Made(br#"{"a":10.0,"b":3.0}"#.to_vec()));
    assert_eq!(
        made("SELECT a, b + 0 AS b FROM 'a'", &json!({"a": 10.0, "b": 3.0})),
        json!({"a": 10, "b": 3})
    );
}

/// Words that statements are made of, so that random ones get far.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "SELECT",
        "VALUE",
        "*",
        "FROM",
        "'a/b'",
        "WHERE",
        "a",
        "b.c",
        "[0]",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'k'",
        ":",
        ",",
        ".",
        "+",
        "-",
        "/",
        "%",
        "=",
        "<>",
        ">",
        "AND",
        "OR",
        "NOT",
        "IN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "AS",
        "x",
        "1",
        "2.5",
        "1e9",
        "9999999999999999999999",
        "null",
        "undefined",
        "true",
        "cast(",
        "Int",
        "concat(",
        "substring(",
        "get(",
        "encode(*",
        "'base64'",
        "decode(",
        "parse_time(",
        "topic(",
        "timestamp()",
        "abs(",
        "power(",
        "trunc(",
        "mod(",
        "replace(",
        "\"",
        "'",
        "é",
    ];
    prop_oneof![9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_statement_and_no_payload_make_it_panic(
        words in proptest::collection::vec(fragment(), 0..40), payload in ".{0,40}",
        well_formed in any::<bool>(), newest in any::<bool>(),
    ) {
        let version = if newest { SqlVersion::Beta } else { SqlVersion::V2015 };
        let words = words.join(" ");
        let sql = if well_formed { format!("SELECT {words} AS x FROM 'a/b'") } else { words };
        if Statement::parse(&sql, version).is_ok() {
            for payload in [payload.as_bytes(), br#"{"a":[1,{"b":2.5}],"b":{"c":"-3"},"x":null}"#] {
                let _ = on(version, &sql, payload);
            }
        }
    }

    #[test]
    fn base64_reads_what_it_writes(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,16}") {
        prop_assert_eq!(from_base64(&to_base64(&bytes)), Some(bytes));
        let _ = from_base64(&text);
    }
}
