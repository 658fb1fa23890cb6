//! Holds what the API answers to what its own description says of it, whichever test it is that asks.

use serde_json::Value;

/// What `/api/v1/openapi.json` says.
pub(crate) struct Description(Value);

impl Description {
    pub(crate) fn of(told: Value) -> Self {
        assert!(told["paths"].is_object(), "{told}");
        Self(told)
    }

    /// An answer is as it is described: nothing in it that is not named, everything of its type, and what is required.
    #[track_caller]
    pub(crate) fn hold(&self, method: &str, path: &str, status: u16, answer: &Value) {
        let Some(operation) = self.operation(method, path) else {
            assert_eq!(status, 404, "{method} {path} is answered and not described");
            return;
        };
        let responses = &operation["responses"];
        let found = &responses[status.to_string()];
        let response = self.resolved(if found.is_null() { &responses["default"] } else { found });
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} {status}: {response}");
        self.fits(&format!("{method} {path} {status}"), answer, schema);
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = format!("/api/v1{}", path.split('?').next().unwrap_or_default());
        let paths = self.0["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (asked, template) = (path.split('/'), template.split('/'));
            asked.clone().count() == template.clone().count()
                && asked.zip(template).all(|(asked, part)| part.starts_with('{') || part == asked)
        };
        let (_, found) = paths.iter().find(|(template, _)| fits(template))?;
        found.get(method.to_lowercase())
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(place) => self.0.pointer(place.trim_start_matches('#')).expect(place),
            None => schema,
        }
    }

    #[track_caller]
    fn fits(&self, at: &str, value: &Value, schema: &Value) {
        let schema = self.resolved(schema);
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let is_of = |name: &Value| match name.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("null") => value.is_null(),
            None => true,
            Some(other) => panic!("{at}: type {other}"),
        };
        assert!(types.iter().any(is_of), "{at} is {value}, described as {types:?}");
        if let Some(named) = schema["enum"].as_array().filter(|_| !value.is_null()) {
            assert!(named.contains(value), "{at} is {value}, none of {named:?}");
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(value.get(name).is_some(), "{at} lacks {name}: {value}");
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&format!("{at}[{number}]"), item, &schema["items"]);
        }
        let Some(properties) = schema["properties"].as_object() else { return };
        for (name, member) in value.as_object().into_iter().flatten() {
            let described = properties.get(name).unwrap_or_else(|| panic!("{at} has {name}, undescribed"));
            self.fits(&format!("{at}.{name}"), member, described);
        }
    }
}
