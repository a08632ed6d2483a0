//! Pages of package indexes: the simple repository API in JSON (PEP 691) and HTML (PEP 503).
//!
//! Invariant: every URL of a parsed page is absolute.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

/// What is asked for: JSON, else HTML in any of its names.
pub const ACCEPTED: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Its file name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its SHA-256 in lower-case hexadecimal, if the index tells.
    pub sha256: Option<String>,
}

/// Why a page cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It is not the JSON that it claims to be.
    #[error("it is not the JSON of the simple API")]
    Json(#[from] serde_json::Error),
    /// It is not HTML.
    #[error("it is not HTML: {0}")]
    Html(String),
    /// It is something else.
    #[error("it has content type `{0}`, expected JSON or HTML")]
    ContentType(String),
}

#[derive(Deserialize)]
struct PageWire {
    #[serde(default)]
    files: Vec<FileWire>,
}

#[derive(Deserialize)]
struct FileWire {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// Reads the page of a package; `url` is where it came from in the end, after redirects.
pub fn parse_page(url: &Url, content_type: &str, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" | "application/vnd.pypi.simple.v1+json" => parse_json(url, body),
        "text/html" | "application/xhtml+xml" | "application/vnd.pypi.simple.v1+html" | "" => parse_html(url, body),
        _ => Err(PageError::ContentType(media_type)),
    }
}

fn parse_json(url: &Url, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let page: PageWire = serde_json::from_str(body)?;
    let file = |wire: FileWire| {
        let sha256 = wire.hashes.get("sha256").map(|hex| hex.to_ascii_lowercase());
        // A file whose URL makes no sense cannot be the one that is looked for.
        Some(IndexFile { name: wire.filename, url: url.join(&wire.url).ok()?.into(), sha256 })
    };
    Ok(page.files.into_iter().filter_map(file).collect())
}

fn parse_html(url: &Url, body: &str) -> Result<Vec<IndexFile>, PageError> {
    let document = tl::parse(body, tl::ParserOptions::default()).map_err(|error| PageError::Html(error.to_string()))?;
    let attribute = |node: &tl::Node<'_>, name: &str| {
        let value = node.as_tag()?.attributes().get(name)??;
        Some(html_escape::decode_html_entities(&value.as_utf8_str()).into_owned())
    };
    let parser = document.parser();
    let elements = |name: &'static str| {
        document.query_selector(name).into_iter().flatten().filter_map(move |handle| handle.get(parser))
    };
    let base = elements("base").find_map(|node| url.join(&attribute(node, "href")?).ok());
    let base = base.as_ref().unwrap_or(url);
    let mut files = Vec::new();
    for node in elements("a") {
        let Some(target) = attribute(node, "href").and_then(|href| base.join(href.trim()).ok()) else { continue };
        let Some(segment) = target.path_segments().and_then(Iterator::last).filter(|segment| !segment.is_empty())
        else {
            continue;
        };
        let name = percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let fragment = target.fragment().unwrap_or_default();
        let sha256 = fragment.strip_prefix("sha256=").map(str::to_ascii_lowercase);
        let mut target = target.clone();
        target.set_fragment(None);
        files.push(IndexFile { name, url: target.into(), sha256 });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content_type: &str, body: &str) -> Vec<IndexFile> {
        let url = Url::parse("https://index.test/simple/thing/").expect("URL");
        parse_page(&url, content_type, body).expect("page")
    }

    #[test]
    fn json_and_html_say_the_same() {
        let html = r#"<!DOCTYPE html><html><body><h1>Links</h1>
            <a href="../../files/thing-1.0%2Bcpu-py3-none-any.whl#sha256=ABC" data-requires-python="&gt;=3.8">thing</a><br>
            </body></html>"#;
        let json = r#"{"meta": {"api-version": "1.1"}, "name": "thing", "files": [
            {"filename": "thing-1.0+cpu-py3-none-any.whl", "url": "/files/thing-1.0%2Bcpu-py3-none-any.whl",
             "hashes": {"sha256": "abc"}, "yanked": false}]}"#;
        let expected = IndexFile {
            name: "thing-1.0+cpu-py3-none-any.whl".into(),
            url: "https://index.test/files/thing-1.0%2Bcpu-py3-none-any.whl".into(),
            sha256: Some("abc".into()),
        };
        assert_eq!(page("text/html; charset=utf-8", html), std::slice::from_ref(&expected));
        assert_eq!(page("application/vnd.pypi.simple.v1+json", json), [expected]);
    }

    #[test]
    fn links_start_at_the_base() {
        let html = r#"<html><head><base href="https://files.test/a/"></head><a href="x-1.tar.gz">x</a></html>"#;
        assert_eq!(page("text/html", html)[0].url, "https://files.test/a/x-1.tar.gz");
    }

    #[test]
    fn other_answers_are_refused() {
        let url = Url::parse("https://index.test/simple/thing/").expect("URL");
        assert!(matches!(parse_page(&url, "application/json", "<html>"), Err(PageError::Json(_))));
        assert!(matches!(parse_page(&url, "image/png", ""), Err(PageError::ContentType(_))));
        assert_eq!(page("text/html", "not a page at all"), []);
    }
}
