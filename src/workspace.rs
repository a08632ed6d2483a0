//! uv's workspaces: <https://docs.astral.sh/uv/concepts/projects/workspaces/>.
//!
//! A project belongs to the nearest directory above it that has a `pyproject.toml`, if that is the root of a
//! workspace which lists the project's directory; else it stands alone.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::manifest::WorkspaceTable;

/// The root of the workspace that a project is a member of; `None` if it stands alone or is a root itself.
pub fn root_above(project: &Path) -> Option<PathBuf> {
    let root = project.ancestors().skip(1).find(|directory| directory.join("pyproject.toml").is_file())?;
    // One that cannot be understood is taken for the root, so that whoever reads it can say so.
    let Ok(workspace) = WorkspaceTable::read(root) else { return Some(root.to_owned()) };
    let workspace = workspace?;
    let relative = project.strip_prefix(root).ok()?;
    (matches_any(&workspace.members, relative) && !matches_any(&workspace.exclude, relative)).then(|| root.to_owned())
}

/// Whether the nearest `pyproject.toml` above a directory is the root's.
pub fn is_next_below(directory: &Path, root: &Path) -> bool {
    directory.ancestors().skip(1).find(|above| above.join("pyproject.toml").is_file()) == Some(root)
}

/// The directory whose lock counts for a project: its workspace's, or that of the project which a directory without a
/// `pyproject.toml` is a part of.
pub fn home(project: &Path) -> Option<PathBuf> {
    let nearest = project.ancestors().find(|directory| directory.join("pyproject.toml").is_file())?;
    let is_root = matches!(WorkspaceTable::read(nearest), Ok(Some(_)));
    let above = if is_root { None } else { root_above(nearest) };
    Some(above.unwrap_or_else(|| nearest.to_owned()))
}

/// The directories below a root that its workspace lists, sorted; `None` if a pattern is too general to follow.
pub fn member_directories(root: &Path, workspace: &WorkspaceTable) -> Option<Vec<PathBuf>> {
    let mut members = Vec::new();
    for pattern in &workspace.members {
        let mut found = vec![root.to_owned()];
        for component in Path::new(pattern).components() {
            found = match component {
                Component::CurDir => found,
                Component::Normal(name) => {
                    let name = name.to_str().filter(|name| *name != "**")?;
                    found.iter().flat_map(|directory| children(directory, name)).collect()
                }
                Component::ParentDir => {
                    found.iter().filter_map(|directory| directory.parent()).map(Path::to_owned).collect()
                }
                Component::RootDir | Component::Prefix(_) => return None,
            };
        }
        members.extend(found);
    }
    let is_listed = |directory: &PathBuf| {
        let relative = directory.strip_prefix(root).unwrap_or(directory);
        directory != root && !matches_any(&workspace.exclude, relative)
    };
    members.retain(is_listed);
    members.sort();
    members.dedup();
    Some(members)
}

/// The directories in a directory whose names match one component of a pattern.
fn children(directory: &Path, name: &str) -> Vec<PathBuf> {
    if !name.contains(['*', '?', '[']) {
        return vec![directory.join(name)].into_iter().filter(|path| path.is_dir()).collect();
    }
    let Some(matcher) = matcher(name) else { return Vec::new() };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| matcher.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Whether a path relative to the root matches one of the patterns. As in uv, `*` matches `/` too.
fn matches_any(patterns: &[String], relative: &Path) -> bool {
    patterns.iter().any(|pattern| {
        let plain: PathBuf = Path::new(pattern).components().filter(|part| *part != Component::CurDir).collect();
        plain.to_str().and_then(matcher).is_some_and(|matcher| matcher.is_match(relative))
    })
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    // Braces have no meaning in uv's patterns.
    let escaped = pattern.replace('{', "[{]").replace('}', "[}]");
    Some(GlobBuilder::new(&escaped).build().ok()?.compile_matcher())
}
