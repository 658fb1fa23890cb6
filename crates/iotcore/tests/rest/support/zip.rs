//! Deployment packages for functions, and functions made of them.

use std::io::{Cursor, Write};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A zip file with one file, base64.
pub(crate) fn zipped(name: &str, content: &str) -> String {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(content.as_bytes()).unwrap();
    Base64::encode_string(&writer.finish().unwrap().into_inner())
}

/// CreateFunction's input for a Python handler that takes the role `Hook`.
pub(crate) fn python(name: &str, code: &str) -> Value {
    json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "lambda_function.handler", "Timeout": 30,
        "Role": "arn:aws:iam::123456789012:role/Hook", "Code": {"ZipFile": zipped("lambda_function.py", code)},
    })
}

/// CreateRole's form for a role that a service may take.
pub(crate) fn role(name: &str, service: &str) -> String {
    format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%22Statement%22%3A%7B\
         %22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%7B\
         %22Service%22%3A%22{service}%22%7D%7D%7D"
    )
}
