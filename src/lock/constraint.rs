//! Poetry's version constraints: <https://python-poetry.org/docs/dependency-specification/#version-constraints>.
//!
//! Every form comes down to alternatives (`||`) of conjunctions (`,` or a space) of PEP 440 comparisons.

use crate::packaging::{Version, VersionRange, VersionSpecifiers, with_epoch};

/// Reads a constraint such as `^1.2`, `~1.2.3`, `1.2.*`, `>=1,<2 || >=3`, `1.2`, `*`.
pub(super) fn parse(text: &str) -> Result<VersionRange, String> {
    let alternatives = text
        .split("||")
        .flat_map(|part| part.split('|'))
        .filter(|part| !part.trim().is_empty() || text.trim().is_empty());
    let alternatives = alternatives.map(conjunction).collect::<Result<Vec<_>, _>>()?;
    Ok(VersionRange::any_of(alternatives))
}

fn conjunction(text: &str) -> Result<VersionSpecifiers, String> {
    let mut comparisons: Vec<String> = Vec::new();
    for part in split_comparisons(text) {
        comparison(&part, &mut comparisons).map_err(|reason| format!("constraint `{}`: {reason}", text.trim()))?;
    }
    let joined = comparisons.join(",");
    joined.parse().map_err(|error| format!("constraint `{}` cannot be understood: {error}", text.trim()))
}

/// Splits at commas, and at spaces between comparisons but not between an operator and its version.
fn split_comparisons(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut operator_open = false;
    for word in text.split(|character: char| character == ',' || character.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        match parts.last_mut() {
            Some(last) if operator_open => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
        operator_open = word.ends_with(['<', '>', '=', '~', '^', '!']);
    }
    parts
}

fn comparison(text: &str, comparisons: &mut Vec<String>) -> Result<(), String> {
    if matches!(text, "*" | "x" | "X" | "@latest" | "latest") {
        return Ok(());
    }
    if let Some(version) = text.strip_prefix("~=") {
        comparisons.push(format!("~={version}"));
    } else if let Some(version) = text.strip_prefix('^') {
        let version = parse_version(version)?;
        comparisons.push(format!(">={version}"));
        comparisons.push(format!("<{}", caret_limit(&version)?));
    } else if let Some(version) = text.strip_prefix('~') {
        let version = parse_version(version)?;
        let given = version.release().len();
        comparisons.push(format!(">={version}"));
        comparisons.push(format!("<{}", bumped(&version, usize::from(given != 1))?));
    } else {
        let operators = ["===", "==", "!=", ">=", "<=", ">", "<", "="];
        let operator = operators.into_iter().find(|operator| text.starts_with(operator));
        let version = text[operator.map_or(0, str::len)..].trim_start_matches(['v', 'V']);
        let operator = match operator {
            None | Some("=" | "===") => "==",
            Some(operator) => operator,
        };
        // With a wildcard only equality makes sense to PEP 440; Poetry takes `>=3.5.*` for `>=3.5`.
        let wildcard = version.strip_suffix(".*").or_else(|| version.strip_suffix(".x"));
        match (operator, wildcard) {
            ("==" | "!=", Some(prefix)) => comparisons.push(format!("{operator}{prefix}.*")),
            (_, Some(prefix)) => comparisons.push(format!("{operator}{}", parse_version(prefix)?)),
            (_, None) => comparisons.push(format!("{operator}{}", parse_version(version)?)),
        }
    }
    Ok(())
}

fn parse_version(text: &str) -> Result<Version, String> {
    text.trim().parse().map_err(|error| format!("`{text}` is not a version: {error}"))
}

/// The next version that changes the leftmost number that is not zero.
fn caret_limit(version: &Version) -> Result<Version, String> {
    let release = version.release();
    let leftmost = release.iter().position(|number| *number != 0).unwrap_or(release.len().saturating_sub(1));
    bumped(version, leftmost)
}

/// The release with the number at `position` raised by one and nothing behind it.
fn bumped(version: &Version, position: usize) -> Result<Version, String> {
    let mut numbers: Vec<u64> = version.release().iter().copied().take(position + 1).collect();
    numbers.resize(position + 1, 0);
    let too_large = || format!("`{version}` has no next version");
    numbers[position] = numbers[position].checked_add(1).ok_or_else(too_large)?;
    Ok(with_epoch(&Version::new(numbers), version.epoch()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(constraint: &str, inside: &[&str], outside: &[&str]) {
        let range = parse(constraint).expect(constraint);
        let contains = |version: &str| range.contains(&version.parse().expect(version));
        for version in inside {
            assert!(contains(version), "`{constraint}` should contain {version}");
        }
        for version in outside {
            assert!(!contains(version), "`{constraint}` should not contain {version}");
        }
    }

    #[test]
    fn caret() {
        check("^1.2.3", &["1.2.3", "1.9"], &["1.2.2", "2.0"]);
        check("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]);
        check("^0.0.3", &["0.0.3"], &["0.0.4"]);
        check("^0.0", &["0.0.9"], &["0.1"]);
        check("^0", &["0.9"], &["1.0"]);
        check("^1", &["1.0", "1.9"], &["2.0"]);
        check("^1!2.0", &["1!2.5"], &["1!3.0", "2.5"]);
    }

    #[test]
    fn tilde() {
        check("~1.2.3", &["1.2.3", "1.2.9"], &["1.3"]);
        check("~1.2", &["1.2.9"], &["1.3"]);
        check("~1", &["1.9"], &["2.0"]);
        check("~=1.4.2", &["1.4.9"], &["1.5"]);
    }

    #[test]
    fn the_rest() {
        check("*", &["0", "9"], &[]);
        check("", &["0", "9"], &[]);
        check("1.2", &["1.2", "1.2.0"], &["1.2.1"]);
        check("=1.2", &["1.2"], &["1.3"]);
        check("1.2.*", &["1.2.7"], &["1.3"]);
        check("!=1.2.*", &["1.3"], &["1.2.7"]);
        check(">=3.5.*", &["3.5", "4"], &["3.4"]);
        check(">=1,<2 || >=3", &["1.5", "3"], &["2"]);
        check(">= 1.0, < 2.0", &["1.5"], &["2.0"]);
        check(">=1.0 <2.0", &["1.5"], &["2.0"]);
        check("^1.0,<1.5", &["1.4"], &["1.5"]);
        check(">=4.21.6,<5.0.0.dev0", &["4.22"], &["5.0"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["^", "~x", ">=", "one", "^1.2 || nonsense", "^18446744073709551615"] {
            assert!(parse(text).is_err(), "{text} was accepted");
        }
    }
}
