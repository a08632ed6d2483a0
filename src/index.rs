//! Pages of package indexes: the simple repository API in JSON (PEP 691) and HTML (PEP 503).
//!
//! Invariants: every URL of a parsed page is absolute; a page is read in time and memory proportional to its length.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::lock::Hash;

/// What is asked for: JSON, else HTML in any of its names.
pub const ACCEPTED: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// The major version of the API that is understood.
const API_VERSION: &str = "1";

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexFile {
    /// Its file name.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// Its hashes of strong kinds, as far as the index tells.
    #[serde(with = "hashes_as_text")]
    pub hashes: Vec<Hash>,
    /// The Python versions that it says to be for.
    pub requires_python: Option<String>,
    /// Why it should not be used (PEP 592), which may be empty.
    pub yanked: Option<String>,
}

/// Why a page cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It is not the JSON that it claims to be.
    #[error("it claims to be JSON, but is not that of the simple API{}", if *.looks_like_html { "; it looks like HTML" } else { "" })]
    Json {
        /// Whether it starts like HTML.
        looks_like_html: bool,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is something else.
    #[error("it has content type `{0}`, expected JSON or HTML")]
    ContentType(String),
    /// Its rules are not known.
    #[error("it has version `{0}` of the simple API, expected {API_VERSION}.x")]
    Version(String),
}

#[derive(Deserialize)]
struct PageWire {
    #[serde(default)]
    meta: MetaWire,
    files: Vec<FileWire>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct MetaWire {
    api_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileWire {
    filename: String,
    url: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    hashes: BTreeMap<String, String>,
    requires_python: Option<String>,
    #[serde(default)]
    yanked: YankedWire,
}

/// Whether, or why.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum YankedWire {
    #[default]
    Absent,
    Whether(bool),
    Why(String),
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the page of a package; `url` is where it came from in the end, after redirects.
pub fn parse_page(url: &Url, content_type: &str, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" | "application/vnd.pypi.simple.v1+json" => parse_json(url, body),
        // Without a content type it is HTML, which every index has.
        "text/html" | "application/xhtml+xml" | "application/vnd.pypi.simple.v1+html" | "" => parse_html(url, body),
        _ => Err(PageError::ContentType(media_type)),
    }
}

fn check_version(version: Option<&str>) -> Result<(), PageError> {
    match version {
        Some(version) if version.split('.').next() != Some(API_VERSION) => {
            Err(PageError::Version(version.chars().filter(|character| !character.is_control()).take(20).collect()))
        }
        _ => Ok(()),
    }
}

fn parse_json(url: &Url, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let body = body.trim_start_matches('\u{feff}');
    let looks_like_html = || body.trim_start().starts_with('<');
    let page: PageWire =
        serde_json::from_str(body).map_err(|source| PageError::Json { looks_like_html: looks_like_html(), source })?;
    check_version(page.meta.api_version.as_deref())?;
    let file = |wire: FileWire| {
        Some(IndexFile {
            name: wire.filename,
            // A file whose URL makes no sense cannot be the one that is looked for.
            url: url.join(&wire.url).ok()?,
            hashes: wire.hashes.iter().filter_map(|(name, hex)| format!("{name}:{hex}").parse().ok()).collect(),
            requires_python: wire.requires_python.filter(|text| !text.is_empty()),
            yanked: match wire.yanked {
                YankedWire::Absent | YankedWire::Whether(false) => None,
                YankedWire::Whether(true) => Some(String::new()),
                YankedWire::Why(reason) => Some(reason),
            },
        })
    };
    Ok(page.files.into_iter().filter_map(file).collect())
}

fn parse_html(url: &Url, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let mut base = None;
    let mut files = Vec::new();
    for tag in (Tags { rest: body }) {
        match tag.name {
            // The first one counts: <https://html.spec.whatwg.org/multipage/semantics.html#the-base-element>.
            "base" if base.is_none() => base = tag.attribute("href").and_then(|href| url.join(href.trim()).ok()),
            "meta" if tag.attribute("name").as_deref() == Some("pypi:repository-version") => {
                check_version(tag.attribute("content").as_deref())?;
            }
            "a" => files.extend(linked_file(base.as_ref().unwrap_or(url), &tag)),
            _ => {}
        }
    }
    Ok(files)
}

/// The file that a link leads to, with its hash as fragment.
fn linked_file(base: &Url, tag: &Tag<'_>) -> Option<IndexFile> {
    let mut url = base.join(tag.attribute("href")?.trim()).ok()?;
    let segment = url.path_segments()?.next_back().filter(|segment| !segment.is_empty())?;
    let name = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?.into_owned();
    let hash = url.fragment().and_then(|fragment| fragment.replacen('=', ":", 1).parse().ok());
    url.set_fragment(None);
    Some(IndexFile {
        name,
        url,
        hashes: hash.into_iter().collect(),
        requires_python: tag.attribute("data-requires-python").filter(|text| !text.is_empty()),
        yanked: tag.attribute("data-yanked"),
    })
}

/// The start tags of a text, without those in comments.
struct Tags<'a> {
    rest: &'a str,
}

/// A start tag of a name that matters here.
struct Tag<'a> {
    /// In lower case.
    name: &'static str,
    /// What follows the name, to the `>`.
    attributes: &'a str,
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let start = self.rest.find('<')?;
            self.rest = &self.rest[start + 1..];
            if let Some(comment) = self.rest.strip_prefix("!--") {
                self.rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            let length = self.rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            let (name, after) = self.rest.split_at(length);
            let known = ["a", "base", "meta"].into_iter().find(|known| name.eq_ignore_ascii_case(known));
            let Some(name) = known else { continue };
            let end = end_of_tag(after)?;
            self.rest = &after[end..];
            return Some(Tag { name, attributes: &after[..end] });
        }
    }
}

/// Where the `>` is that is not in quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    text.bytes().position(|byte| {
        match (quote, byte) {
            (None, b'>') => return true,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        false
    })
}

impl Tag<'_> {
    /// The value of an attribute, entities resolved; empty if it has none.
    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|character: char| character.is_ascii_whitespace() || character == '/');
            if rest.is_empty() {
                return None;
            }
            let ends_name = |character: char| character.is_ascii_whitespace() || matches!(character, '=' | '/');
            // An attribute's name may start with an equals sign, which ends it later.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let length = rest[first..].find(ends_name).map_or(rest.len(), |length| first + length);
            let (name, after) = rest.split_at(length);
            let mut value = "";
            rest = after;
            if let Some(after) = after.trim_start().strip_prefix('=') {
                let after = after.trim_start();
                (value, rest) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_at(after.find(|end: char| end.is_ascii_whitespace()).unwrap_or(after.len())),
                };
            }
            if name.eq_ignore_ascii_case(wanted) {
                return Some(html_escape::decode_html_entities(value).into_owned());
            }
        }
    }
}

/// What an index has for a file of the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// The file, as far as the index tells.
    File(&'a IndexFile),
    /// A file of that name, but with this other hash.
    Contradiction(&'a Hash),
    /// Nothing.
    Missing,
}

/// Looks for a file of the lock: the one with its hash, else the one with its name, if its hash is not known.
pub fn find_file<'a>(files: &'a [IndexFile], name: &str, expected: Option<&Hash>) -> Match<'a> {
    let comparable = |file: &'a IndexFile| {
        file.hashes.iter().find(|hash| expected.is_some_and(|expected| expected.algorithm == hash.algorithm))
    };
    let named = || files.iter().filter(|file| file.name == name);
    let has_hash = |file: &&'a IndexFile| comparable(file).is_some_and(|hash| Some(hash) == expected);
    let found = named().find(has_hash).or_else(|| named().find(|file| comparable(file).is_none()));
    // Indexes differ in how they spell names.
    if let Some(found) = found.or_else(|| files.iter().find(has_hash)) {
        return Match::File(found);
    }
    named().find_map(comparable).map_or(Match::Missing, Match::Contradiction)
}

mod hashes_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::lock::Hash;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn page_url() -> Url {
        Url::parse("https://index.test/simple/thing/").expect("URL")
    }

    fn page(content_type: &str, body: &str) -> Vec<IndexFile> {
        parse_page(&page_url(), content_type, body).expect("page")
    }

    fn html_urls(body: &str) -> Vec<String> {
        page("text/html", body).into_iter().map(|file| file.url.into()).collect()
    }

    fn hash(hex: &str) -> Hash {
        format!("sha256:{hex}").parse().expect("hash")
    }

    fn file(name: &str, hashes: &[&str]) -> IndexFile {
        let url = page_url().join(name).expect("URL");
        let hashes = hashes.iter().map(|hex| hash(hex)).collect();
        IndexFile { name: name.into(), url, hashes, requires_python: None, yanked: None }
    }

    #[test]
    fn json_and_html_say_the_same() {
        let html = format!(
            r#"<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.3"></head><body><h1>Links</h1>
            <a href="../../files/thing-1.0%2Bcpu-py3-none-any.whl#sha256={}" data-requires-python="&gt;=3.8"
               data-yanked="broken &amp; gone">thing</a><br></body></html>"#,
            HASH.to_uppercase()
        );
        let json = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "thing", "files": [
            {{"filename": "thing-1.0+cpu-py3-none-any.whl", "url": "/files/thing-1.0%2Bcpu-py3-none-any.whl",
             "hashes": {{"md5": "abc", "sha256": "{HASH}"}}, "requires-python": ">=3.8", "yanked": "broken & gone"}}]}}"#
        );
        let expected = IndexFile {
            name: "thing-1.0+cpu-py3-none-any.whl".into(),
            url: Url::parse("https://index.test/files/thing-1.0%2Bcpu-py3-none-any.whl").expect("URL"),
            hashes: vec![hash(HASH)],
            requires_python: Some(">=3.8".into()),
            yanked: Some("broken & gone".into()),
        };
        assert_eq!(page("text/html; charset=utf-8", &html), std::slice::from_ref(&expected));
        assert_eq!(page("", &html), std::slice::from_ref(&expected));
        assert_eq!(page("application/vnd.pypi.simple.v1+json", &json), [expected]);
    }

    #[test]
    fn what_json_leaves_out_is_absent() {
        let json = r#"{"files": [{"filename": "a", "url": "a", "hashes": null, "requires-python": null, "yanked": false},
            {"filename": "b", "url": "b", "yanked": true}, {"filename": "c", "url": "http://[", "hashes": {}}]}"#;
        let mut b = file("b", &[]);
        b.yanked = Some(String::new());
        assert_eq!(page("application/json", json), [file("a", &[]), b]);
    }

    #[test]
    fn links_start_at_the_base() {
        let html = r#"<html><head><base href="https://files.test/a/"><base href="/no/"></head><a href="x-1.tar.gz">x</a>
            <A HREF = '//cdn.test/x-2.tar.gz'>x</A><a class=x href=/x-3.tar.gz>x</a><a href="?x">self</a></html>"#;
        let expected =
            ["https://files.test/a/x-1.tar.gz", "https://cdn.test/x-2.tar.gz", "https://files.test/x-3.tar.gz"];
        assert_eq!(html_urls(html), expected);
    }

    #[test]
    fn only_links_are_links() {
        let html = r#"<!-- <a href="comment-1.whl"> --><abbr href="abbr-1.whl"><a name="x"></a><a href=""></a>
            <a title="a > b" data-href="no.whl" href="x-1.whl">x</a><a href="mailto:x@y"><a href="https://["><a href="open"#;
        assert_eq!(html_urls(html), ["https://index.test/simple/thing/x-1.whl"]);
        assert_eq!(page("text/html", "not a page at all"), []);
    }

    #[test]
    fn a_link_without_a_value_is_yanked_for_no_reason() {
        let html =
            "<a data-yanked href='x-1.whl#md5=abc' data-requires-python=''>x</a><a href='y-1.whl' data-yanked=''>";
        let files = page("text/html", html);
        assert_eq!(files[0].yanked.as_deref(), Some(""));
        assert_eq!((files[0].hashes.len(), files[0].requires_python.as_deref()), (0, None));
        assert_eq!(files[1].yanked.as_deref(), Some(""));
    }

    #[test]
    fn other_answers_are_refused() {
        let parse = |content_type, body| parse_page(&page_url(), content_type, body).expect_err("no page").to_string();
        assert!(parse("application/json", "<html>").contains("looks like HTML"));
        assert!(!parse("application/json", "{\"message\": \"no such package\"}").contains("HTML"));
        assert!(parse("image/png", "").contains("`image/png`"));
        assert!(parse("application/json", r#"{"meta": {"api-version": "2.0"}, "files": []}"#).contains("`2.0`"));
        assert!(parse("text/html", "<meta name='pypi:repository-version' content='3.0'>").contains("`3.0`"));
    }

    #[test]
    fn the_right_hash_finds_its_file() {
        let expected = hash(HASH);
        let files = [file("a.whl", &[OTHER]), file("a.whl", &[]), file("b.whl", &[HASH]), file("c.whl", &[OTHER])];
        assert_eq!(find_file(&files, "a.whl", Some(&expected)), Match::File(&files[1]));
        assert_eq!(find_file(&files, "a.whl", None), Match::File(&files[0]));
        assert_eq!(find_file(&files, "B.whl", Some(&expected)), Match::File(&files[2]));
        assert_eq!(find_file(&files, "B.whl", None), Match::Missing);
        assert_eq!(find_file(&files[..1], "a.whl", Some(&expected)), Match::Contradiction(&hash(OTHER)));
        let longer: Hash = format!("sha512:{HASH}{HASH}").parse().expect("hash");
        assert_eq!(find_file(&files, "c.whl", Some(&longer)), Match::File(&files[3]));
    }

    #[test]
    fn large_pages_are_read_in_one_pass() {
        // Quadratic time would not come to an end. What is never closed is no link.
        for unit in ["<a ", "<a href=\"x\"", "<", "<!--", "<a href='", "<a =", "<base href=x>"] {
            assert_eq!(page("text/html", &unit.repeat((1 << 20) / unit.len())).len(), 0, "{unit}");
        }
        assert_eq!(page("text/html", &"<a href=x>".repeat(100_000)).len(), 100_000);
    }
}
