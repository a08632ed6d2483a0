//! The content hash of `poetry.lock`: SHA-256 of a JSON document of the parts of `pyproject.toml` that decide what
//! is locked.
//!
//! The JSON is Python's: keys sorted, `", "` and `": "` between items, everything but ASCII escaped. Which parts
//! count has changed with Poetry's versions:
//! - before 2.0, four keys of `[tool.poetry]`, `null` where they are missing, and `group` where it is not;
//! - from 2.0 on, if `[project]` has any of three keys, those, and the keys of `[tool.poetry]` that are there;
//! - from 2.3 on `[dependency-groups]` too, if there are any.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};

use crate::lock::recorded::PoetryRecord;
use crate::packaging::Version;

/// Keys of `[tool.poetry]` that are `null` in the hash where they are missing, if nothing else counts.
const LEGACY_KEYS: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];

/// The key of `[tool.poetry]` that Poetry 1.2 added.
const GROUP_KEY: &str = "group";

/// Keys of `[project]` that count.
const PROJECT_KEYS: [&str; 3] = ["requires-python", "dependencies", "optional-dependencies"];

/// The first version of Poetry that hashes `[dependency-groups]`.
const HASHES_GROUPS: [u64; 2] = [2, 3];

/// The first lock version of a Poetry that reads `[project]`.
const READS_PROJECT: (u32, u32) = (2, 1);

/// How many characters of a hash are shown.
const SHOWN: usize = 12;

/// What differs between a lock and the `pyproject.toml` in a directory: nothing, or the hash.
pub(super) fn differences(record: &PoetryRecord, directory: &Path) -> Vec<String> {
    let Some(recorded) = &record.content_hash else { return Vec::new() };
    let text = fs_err::read_to_string(directory.join("pyproject.toml")).ok();
    let Some(pyproject) = text.and_then(|text| text.parse::<Table>().ok()) else { return Vec::new() };
    let Some(hashes) = content_hashes(&pyproject, record) else { return Vec::new() };
    if hashes.contains(recorded) {
        return Vec::new();
    }
    let start = |hash: &str| hash.chars().take(SHOWN).collect::<String>();
    let now = hashes.first().map_or_else(String::new, |hash| start(hash));
    vec![format!("its content hash is `{}…`, expected `{now}…`", start(recorded))]
}

/// The hashes that prove a lock fresh, that of the newest Poetry first; `None` if a value has no JSON that is sure.
fn content_hashes(pyproject: &Table, record: &PoetryRecord) -> Option<Vec<String>> {
    let before_groups = record.written_by.as_ref().is_none_or(|version| *version < Version::new(HASHES_GROUPS));
    let mut contents = vec![relevant_content(pyproject, true)];
    if before_groups {
        contents.push(relevant_content(pyproject, false));
    }
    if record.lock_version < READS_PROJECT {
        contents.push(poetry_content(pyproject, true));
    }
    contents.into_iter().map(|content| content.json().map(|json| crate::digest::sha256_hex(json.as_bytes()))).collect()
}

fn relevant_content(pyproject: &Table, with_groups: bool) -> Content<'_> {
    let project = pyproject.get("project").and_then(Value::as_table);
    let project: BTreeMap<&str, Content<'_>> =
        PROJECT_KEYS.into_iter().filter_map(|key| Some((key, Content::Toml(project?.get(key)?)))).collect();
    let groups = pyproject.get("dependency-groups").filter(|_| with_groups);
    let groups = groups.filter(|groups| groups.as_table().is_none_or(|groups| !groups.is_empty()));
    let alone = project.is_empty() && groups.is_none();
    let poetry = poetry_content(pyproject, alone);
    if alone {
        return poetry;
    }
    let mut content = BTreeMap::from([("tool", Content::Map(BTreeMap::from([("poetry", poetry)])))]);
    if !project.is_empty() {
        content.insert("project", Content::Map(project));
    }
    if let Some(groups) = groups {
        content.insert("dependency-groups", Content::Toml(groups));
    }
    Content::Map(content)
}

fn poetry_content(pyproject: &Table, with_nulls: bool) -> Content<'_> {
    let poetry = pyproject.get("tool").and_then(|tool| tool.get("poetry"));
    let of = |key: &'static str| poetry.and_then(|poetry| poetry.get(key)).map(|value| (key, Content::Toml(value)));
    let legacy = LEGACY_KEYS.into_iter().filter_map(|key| of(key).or(with_nulls.then_some((key, Content::Null))));
    Content::Map(legacy.chain(of(GROUP_KEY)).collect())
}

/// A JSON value of which parts are TOML.
enum Content<'a> {
    Null,
    Toml(&'a Value),
    Map(BTreeMap<&'a str, Content<'a>>),
}

impl Content<'_> {
    fn json(&self) -> Option<String> {
        let mut text = String::new();
        self.write(&mut text)?;
        Some(text)
    }

    fn write(&self, text: &mut String) -> Option<()> {
        match self {
            Self::Null => text.push_str("null"),
            Self::Toml(value) => write_value(value, text)?,
            Self::Map(map) => write_map(map.iter().map(|(key, value)| (*key, value)), text, Content::write)?,
        }
        Some(())
    }
}

fn write_map<'a, T>(
    entries: impl Iterator<Item = (&'a str, T)>,
    text: &mut String,
    write_item: impl Fn(T, &mut String) -> Option<()>,
) -> Option<()> {
    text.push('{');
    for (position, (key, value)) in entries.enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        write_string(key, text);
        text.push_str(": ");
        write_item(value, text)?;
    }
    text.push('}');
    Some(())
}

fn write_value(value: &Value, text: &mut String) -> Option<()> {
    match value {
        Value::String(string) => write_string(string, text),
        Value::Integer(number) => text.push_str(&number.to_string()),
        Value::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        // Beyond these, Python writes numbers in another way than Rust.
        Value::Float(number) if *number == 0.0 || (1e-4..1e16).contains(&number.abs()) => {
            let _ = write!(text, "{number:?}");
        }
        // Python's JSON has no dates: Poetry itself gives up on them.
        Value::Float(_) | Value::Datetime(_) => return None,
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push_str(", ");
                }
                write_value(item, text)?;
            }
            text.push(']');
        }
        Value::Table(table) => {
            let sorted: BTreeMap<&str, &Value> = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
            write_map(sorted.into_iter(), text, write_value)?;
        }
    }
    Some(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(toml: &str) -> String {
        let table: Table = toml.parse().expect("TOML");
        Content::Toml(&Value::Table(table)).json().expect("JSON")
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        assert_eq!(
            json(
                "b = [1, -2, true]\na = \"\"\"é\\u007f\\t\\\"\\\\\n𝄞\\u0001\"\"\"\n[c]\nz = 1.5\nA = 2.0\nx = []\ny = {}"
            ),
            "{\"a\": \"\\u00e9\\u007f\\t\\\"\\\\\\n\\ud834\\udd1e\\u0001\", \"b\": [1, -2, true], \
             \"c\": {\"A\": 2.0, \"x\": [], \"y\": {}, \"z\": 1.5}}"
        );
    }

    #[test]
    fn keys_that_poetry_hashes() {
        let content = |toml: &str, groups| {
            let table: Table = toml.parse().expect("TOML");
            relevant_content(&table, groups).json().expect("JSON")
        };
        let old = "[project]\nname = \"a\"\n[tool.poetry]\nname = \"a\"\n[tool.poetry.dependencies]\nx = \"1\"";
        assert_eq!(
            content(old, true),
            r#"{"dependencies": {"x": "1"}, "dev-dependencies": null, "extras": null, "source": null}"#
        );
        let new =
            "[project]\ndependencies = []\n[dependency-groups]\nd = [\"y\"]\n[tool.poetry.group.d]\noptional = true";
        assert_eq!(
            content(new, false),
            r#"{"project": {"dependencies": []}, "tool": {"poetry": {"group": {"d": {"optional": true}}}}}"#
        );
        assert_eq!(
            content(new, true),
            r#"{"dependency-groups": {"d": ["y"]}, "project": {"dependencies": []}, "tool": {"poetry": {"group": {"d": {"optional": true}}}}}"#
        );
    }
}
