//! What a `uv.lock` was made from, compared with the workspace as it is now.
//!
//! The comparison is the one that `uv lock --check` makes before it resolves anything: order, spelling and markers
//! that mean the same make no difference. Members and source trees that are not there are not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::requirement::{Place, Reference, Requirement, normalized, simplified};
use crate::lock::recorded::{MetadataRecord, RequirementRecord, TreeRecord, UvRecord, Written};
use crate::lock::{Choice, ConflictItem, Lock, Package, Source};
use crate::manifest::{GroupEntry, Manifest, OneOrMany, ProjectTable, SourceTable};
use crate::packaging::{
    ComparableMarker, ExtraName, GroupName, PackageName, PythonBounds, Version, VersionSpecifiers, dev_group,
};
use crate::workspace;

/// From this revision on, locks name extras and groups without requirements, and leave out dynamic versions.
const COMPLETE_REVISION: u32 = 1;

/// Settings of the resolver and what they are by default.
const DEFAULT_RESOLUTION: &str = "highest";
const DEFAULT_PRERELEASE: &str = "if-necessary-or-explicit";
const DEFAULT_FORK_STRATEGY: &str = "requires-python";

/// What differs between a lock and the workspace at a directory, each as a clause.
pub(super) fn differences(lock: &Lock, record: &UvRecord, root: &Path) -> Vec<String> {
    let Some(manifest) = Manifest::read(root) else { return Vec::new() };
    // Without a project or a workspace it is not what uv locked.
    if manifest.project.is_none() && manifest.uv().workspace.is_none() || manifest.uv().managed == Some(false) {
        return Vec::new();
    }
    let found = manifest.uv().workspace.as_ref().map(|table| workspace::member_directories(root, table));
    let mut others = Vec::new();
    let mut all_found = true;
    match found {
        None => {}
        Some(None) => all_found = false,
        Some(Some(directories)) => {
            for directory in directories {
                match Manifest::read(&directory) {
                    Some(other) => others.push(other),
                    None => all_found &= !directory.join("pyproject.toml").exists(),
                }
            }
        }
    }
    let mut members: BTreeMap<&PackageName, &Manifest> = BTreeMap::new();
    for member in std::iter::once(&manifest).chain(&others) {
        if let Some(project) = &member.project
            && member.uv().managed != Some(false)
        {
            members.insert(&project.name, member);
        }
    }
    let bounds = record.requires_python.as_ref().and_then(|specifiers| PythonBounds::of([specifiers]));
    let mut comparison =
        Comparison { lock, record, root, manifest: &manifest, members, bounds, is_complete: false, found: Vec::new() };
    comparison.is_complete = all_found && comparison.locked_members().all(|name| comparison.members.contains_key(name));
    comparison.compare_members(all_found);
    comparison.compare_python();
    comparison.compare_settings();
    comparison.compare_workspace();
    comparison.compare_trees();
    comparison.found
}

/// One lock and one workspace.
struct Comparison<'a> {
    lock: &'a Lock,
    record: &'a UvRecord,
    root: &'a Path,
    manifest: &'a Manifest,
    /// Members whose sources are there.
    members: BTreeMap<&'a PackageName, &'a Manifest>,
    /// The Pythons that the lock was made for.
    bounds: Option<PythonBounds>,
    /// Whether the sources of all members are there.
    is_complete: bool,
    found: Vec<String>,
}

/// What requirements belong to, and how a sentence about it goes on.
struct Subject {
    name: String,
    verb: &'static str,
}

impl Subject {
    fn new(name: String) -> Self {
        Self { name, verb: "requires" }
    }
}

/// Requirements of a manifest, as far as they can be known.
#[derive(Default)]
struct Declared {
    requirements: Vec<Requirement>,
    /// What else may be required.
    unsure: BTreeSet<PackageName>,
}

impl<'a> Comparison<'a> {
    /// The members that the lock names; a lone project is not named.
    fn locked_members(&self) -> impl Iterator<Item = &'a PackageName> {
        let lock = self.lock;
        lock.members.iter().map(|index| &lock.packages[index.0].name)
    }

    fn tree(&self, name: &PackageName) -> Option<(&'a TreeRecord, &'a Package)> {
        self.record
            .trees
            .iter()
            .map(|tree| (tree, &self.lock.packages[tree.package.0]))
            .find(|(_, tree)| tree.name == *name)
    }

    /// Whether the root's sources and indexes count for a manifest: it is the root's, or a member's that has no other
    /// project between itself and the root.
    fn shares_sources(&self, manifest: &Manifest) -> bool {
        manifest.directory == self.manifest.directory
            || self.members.values().any(|member| member.directory == manifest.directory)
                && workspace::is_next_below(&manifest.directory, self.root)
    }

    fn compare_members(&mut self, all_found: bool) {
        let locked: BTreeSet<&PackageName> = self.locked_members().collect();
        let is_listed = |name: &PackageName| self.record.manifest.members.is_empty() || locked.contains(name);
        let new = self.members.keys().filter(|name| self.tree(name).is_none() || !is_listed(name));
        let mut found: Vec<String> = new.map(|name| format!("project `{name}` is not in the lock")).collect();
        for name in locked {
            let Some((_, package)) = self.tree(name).filter(|_| all_found && !self.members.contains_key(name)) else {
                continue;
            };
            let directory = source_directory(package).map(|path| self.root.join(path));
            if directory.is_some_and(|directory| directory.join("pyproject.toml").is_file()) {
                found.push(format!("the lock has project `{name}`, which the workspace does not have"));
            }
        }
        self.found.extend(found);
    }

    fn compare_python(&mut self) {
        let wanted: Vec<&VersionSpecifiers> =
            self.members.values().filter_map(|member| member.project.as_ref()?.requires_python.as_ref()).collect();
        if !self.is_complete || wanted.is_empty() {
            return;
        }
        let (Some(now), Some(then)) = (PythonBounds::of(wanted.iter().copied()), &self.bounds) else { return };
        if now != *then {
            let mut texts: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            texts.sort();
            texts.dedup();
            let then = self.record.requires_python.as_ref().map(ToString::to_string).unwrap_or_default();
            self.found.push(format!("`requires-python` is `{}`, the lock was made for `{then}`", texts.join(", ")));
        }
    }

    fn compare_settings(&mut self) {
        let uv = self.manifest.uv();
        let environments = [
            ("environments", &uv.environments, &self.record.environments),
            ("required-environments", &uv.required_environments, &self.record.required_environments),
        ];
        for (key, now, then) in environments {
            if let (Some(now), Some(then)) = (self.markers(now.as_slice()), self.markers(then))
                && (now.iter().any(|marker| !then.contains(marker)) || then.iter().any(|marker| !now.contains(marker)))
            {
                self.found.push(format!("`{key}` is not what the lock was made for"));
            }
        }
        self.compare_conflicts();
        // `uv.toml` replaces the resolver's settings.
        if self.root.join("uv.toml").exists() {
            return;
        }
        let options = &self.record.options;
        let settings = [
            ("resolution", &uv.resolution, &options.resolution_mode, DEFAULT_RESOLUTION),
            ("prerelease", &uv.prerelease, &options.prerelease_mode, DEFAULT_PRERELEASE),
            ("fork-strategy", &uv.fork_strategy, &options.fork_strategy, DEFAULT_FORK_STRATEGY),
        ];
        for (key, now, then, default) in settings {
            let then = then.as_ref().map_or(Some(default), toml::Value::as_str);
            if let (Some(now), Some(then)) = (now.as_ref().and_then(toml::Value::as_str), then)
                && now != then
            {
                self.found.push(format!("`{key}` is `{now}`, the lock was made with `{then}`"));
            }
        }
    }

    fn markers(&self, texts: &[String]) -> Option<Vec<ComparableMarker>> {
        texts.iter().map(|text| Some(simplified(ComparableMarker::parse(text)?, self.bounds.as_ref()))).collect()
    }

    fn compare_conflicts(&mut self) {
        if !self.is_complete {
            return;
        }
        let mut now: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        for (name, member) in &self.members {
            for set in &member.uv().conflicts {
                let items = set.iter().map(|item| {
                    let package = item.package.clone().unwrap_or_else(|| (*name).clone());
                    let choice = match (&item.extra, &item.group) {
                        (Some(extra), _) => Choice::Extra(extra.clone()),
                        (None, Some(group)) => Choice::Group(group.clone()),
                        (None, None) => Choice::Project,
                    };
                    ConflictItem { package, choice }.to_string()
                });
                now.insert(items.collect());
            }
        }
        // A group that includes another one inherits its conflicts, in a way that changed with uv's versions.
        let is_include = |entry: &GroupEntry| !matches!(entry, GroupEntry::Requirement(_));
        let includes = self.manifest.dependency_groups.values().flatten().any(is_include);
        let is_group = |item: &ConflictItem| matches!(item.choice, Choice::Group(_));
        if includes && self.lock.conflicts.iter().flatten().any(is_group) {
            return;
        }
        let then: BTreeSet<BTreeSet<String>> =
            self.lock.conflicts.iter().map(|set| set.iter().map(ToString::to_string).collect()).collect();
        let listed = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
        let new = now.difference(&then).map(|set| format!("{} conflict, which the lock does not know", listed(set)));
        let old = then.difference(&now).map(|set| format!("{} conflict in the lock only", listed(set)));
        self.found.extend(new.chain(old).collect::<Vec<_>>());
    }

    /// What the root says for all members.
    fn compare_workspace(&mut self) {
        let uv = self.manifest.uv();
        let manifest = &self.record.manifest;
        let lists = [
            ("constraint-dependencies", &uv.constraint_dependencies, &manifest.constraints),
            ("override-dependencies", &uv.override_dependencies, &manifest.overrides),
            ("build-constraint-dependencies", &uv.build_constraint_dependencies, &manifest.build_constraints),
        ];
        for (key, now, then) in lists {
            let texts: Option<Vec<&str>> = now.iter().map(toml::Value::as_str).collect();
            let (Some(texts), Some(then)) = (texts, self.recorded(then)) else { continue };
            let Some(declared) = self.declared(texts, None, None, self.manifest) else { continue };
            self.compare(&Subject { name: format!("`{key}`"), verb: "has" }, declared, then);
        }
        let excluded: Option<BTreeSet<PackageName>> =
            uv.exclude_dependencies.iter().map(|value| value.as_str()?.parse().ok()).collect();
        let recorded: Option<BTreeSet<PackageName>> = manifest
            .excludes
            .iter()
            .map(|name| if let Written::Known(name) = name { Some(name.clone()) } else { None })
            .collect();
        if let (Some(now), Some(then)) = (excluded, recorded)
            && now != then
        {
            self.found.push("`exclude-dependencies` is not what the lock was made with".to_owned());
        }
        if self.manifest.project.is_none() && manifest.requirements.is_empty() {
            let then = manifest.dependency_groups.iter().map(|(group, requirements)| {
                let known = requirements.iter().filter_map(|record| self.requirement(record)).collect::<Vec<_>>();
                (group.clone(), (known.len() == requirements.len()).then_some(known))
            });
            let then = then.collect();
            self.compare_groups("the workspace", self.manifest, then, false);
        }
    }

    fn compare_trees(&mut self) {
        for tree in &self.record.trees {
            let package = &self.lock.packages[tree.package.0];
            if let Some(member) = self.members.get(&package.name) {
                self.compare_tree(tree, package, member, true);
            } else if let Some(directory) = source_directory(package)
                && !self.record.manifest.members.contains(&package.name)
                && let Some(other) = Manifest::read(&normalized(&self.root.join(directory)))
                && other.project.as_ref().is_some_and(|project| project.name == package.name)
                // The sources of another workspace would count.
                && workspace::root_above(&other.directory).is_none()
            {
                self.compare_tree(tree, package, &other, false);
            }
        }
    }

    fn compare_tree(&mut self, tree: &TreeRecord, package: &Package, manifest: &Manifest, is_member: bool) {
        let Some(project) = &manifest.project else { return };
        self.compare_version(package, project);
        if is_member {
            self.compare_kind(package, manifest);
        }
        let nothing = MetadataRecord::default();
        let metadata = match &tree.metadata {
            Some(metadata) => metadata,
            // Left out, or written by a uv that did not write it.
            None if self.leaves_metadata_out() => return,
            None => &nothing,
        };
        let name = format!("project `{}`", project.name);
        if !project.is_dynamic("optional-dependencies") && self.record.revision >= COMPLETE_REVISION {
            for extra in project.optional_dependencies.keys().filter(|extra| !metadata.provides_extras.contains(*extra))
            {
                self.found.push(format!("{name} has the extra `{extra}`, which the lock does not have"));
            }
            for extra in
                metadata.provides_extras.iter().filter(|extra| !project.optional_dependencies.contains_key(*extra))
            {
                self.found.push(format!("{name} does not have the extra `{extra}`, which the lock has"));
            }
        }
        if !project.is_dynamic("dependencies") && !project.is_dynamic("optional-dependencies") {
            self.compare_requirements(&name, project, manifest, metadata, package);
        }
        let has_group_edges = package.groups.values().any(|edges| !edges.is_empty());
        if is_member && (!metadata.requires_dev.is_empty() || !has_group_edges) {
            let then = metadata.requires_dev.iter().map(|(group, records)| (group.clone(), self.recorded(records)));
            let then = then.collect();
            self.compare_groups(&name, manifest, then, self.record.revision >= COMPLETE_REVISION);
        }
    }

    /// Whether some tree has dependencies but no word of what it required.
    fn leaves_metadata_out(&self) -> bool {
        let trees = self.record.trees.iter().filter(|tree| tree.metadata.is_none());
        trees.map(|tree| &self.lock.packages[tree.package.0]).any(has_edges)
    }

    fn compare_version(&mut self, package: &Package, project: &ProjectTable) {
        let name = &package.name;
        let now = project.version.as_ref().and_then(|version| version.parse::<Version>().ok());
        match (now, &package.version) {
            (Some(now), Some(then)) if now != *then => {
                self.found.push(format!("project `{name}` has version {now}, the lock has {then}"));
            }
            (Some(now), None) if self.record.revision >= COMPLETE_REVISION => {
                self.found.push(format!("project `{name}` has version {now}, the lock has a dynamic one"));
            }
            (None, Some(then)) if project.is_dynamic("version") && self.record.revision >= COMPLETE_REVISION => {
                self.found.push(format!("project `{name}` has a dynamic version, the lock has {then}"));
            }
            _ => {}
        }
    }

    /// Whether a member itself is installed, where its manifest leaves no doubt.
    fn compare_kind(&mut self, package: &Package, manifest: &Manifest) {
        let is_package = match manifest.uv().package {
            Some(is_package) => is_package,
            None if manifest.has_build_system() => true,
            None if self.is_complete && !self.is_required(&package.name) => false,
            None => return,
        };
        let was_package = !matches!(package.source, Source::Virtual(_));
        if is_package != was_package && self.record.revision >= COMPLETE_REVISION {
            let (now, then) = if is_package { ("is", "only its dependencies") } else { ("is not", "it as one") };
            self.found.push(format!("project `{}` {now} a package, the lock has {then}", package.name));
        }
    }

    /// Whether some member names another one as its source.
    fn is_required(&self, name: &PackageName) -> bool {
        let manifests = self.members.values().copied().chain([self.manifest]);
        manifests
            .filter_map(|manifest| manifest.uv().sources.get(name))
            .flat_map(OneOrMany::as_slice)
            .any(|source| source.workspace.is_some())
    }

    fn compare_requirements(
        &mut self,
        name: &str,
        project: &ProjectTable,
        manifest: &Manifest,
        metadata: &MetadataRecord,
        package: &Package,
    ) {
        let Some(mut then) = self.recorded(&metadata.requires_dist) else { return };
        let plain = self.declared(project.dependencies.iter().map(String::as_str), None, None, manifest);
        let Some(mut declared) = plain else { return };
        for (extra, texts) in &project.optional_dependencies {
            let texts = texts.iter().map(String::as_str);
            let Some(optional) = self.declared(texts, Some(extra), None, manifest) else { return };
            declared.requirements.extend(optional.requirements);
            declared.unsure.extend(optional.unsure);
        }
        // Build backends may replace an extra of the project itself by what it stands for.
        if package.version.is_none() && declared.requirements.iter().any(|requirement| requirement.name == package.name)
        {
            declared.requirements.retain(|requirement| requirement.extra().is_none());
            then.retain(|requirement| requirement.extra().is_none());
        }
        let extras: BTreeSet<Option<ExtraName>> =
            declared.requirements.iter().chain(&then).map(Requirement::extra).collect();
        for extra in extras {
            let subject = match &extra {
                Some(extra) => format!("extra `{extra}` of {name}"),
                None => name.to_owned(),
            };
            let now = declared.requirements.extract_if(.., |requirement| requirement.extra() == extra).collect();
            let now = Declared { requirements: now, unsure: declared.unsure.clone() };
            let then = then.extract_if(.., |requirement| requirement.extra() == extra).collect();
            self.compare(&Subject::new(subject), now, then);
        }
    }

    fn compare_groups(
        &mut self,
        owner: &str,
        manifest: &Manifest,
        mut then: BTreeMap<GroupName, Option<Vec<Requirement>>>,
        with_empty: bool,
    ) {
        for (group, declared) in self.declared_groups(manifest) {
            let recorded = then.remove(&group);
            let Some(declared) = declared else { continue };
            let is_empty = declared.requirements.is_empty() && declared.unsure.is_empty();
            match recorded {
                Some(None) => {}
                None if is_empty && with_empty => {
                    self.found.push(format!("{owner} has the group `{group}`, which the lock does not have"));
                }
                recorded => {
                    let subject = Subject::new(format!("group `{group}` of {owner}"));
                    self.compare(&subject, declared, recorded.flatten().unwrap_or_default());
                }
            }
        }
        for (group, recorded) in then {
            if with_empty || recorded.is_some_and(|recorded| !recorded.is_empty()) {
                self.found.push(format!("{owner} does not have the group `{group}`, which the lock has"));
            }
        }
    }

    /// The groups of a manifest with those that they include; `None` for what cannot be known.
    fn declared_groups(&self, manifest: &Manifest) -> BTreeMap<GroupName, Option<Declared>> {
        let mut groups: BTreeMap<GroupName, Option<Declared>> = BTreeMap::new();
        for group in manifest.dependency_groups.keys() {
            let requirements = group_requirements(manifest, group, &mut BTreeMap::new());
            groups.insert(
                group.clone(),
                requirements.and_then(|requirements| self.lowered(requirements, None, Some(group), manifest)),
            );
        }
        if !manifest.uv().dev_dependencies.is_empty() {
            let dev = dev_group();
            let texts = manifest.uv().dev_dependencies.iter().map(String::as_str);
            let more = self.declared(texts, None, Some(&dev), manifest);
            let group = groups.entry(dev).or_insert_with(|| Some(Declared::default()));
            *group = group.take().zip(more).map(|(mut group, more)| {
                group.requirements.extend(more.requirements);
                group.unsure.extend(more.unsure);
                group
            });
        }
        groups
    }

    /// Reports what only one side has; requirements of one name on both sides are a change.
    fn compare(&mut self, subject: &Subject, declared: Declared, recorded: Vec<Requirement>) {
        let Declared { requirements: mut now, unsure } = declared;
        let mut then = recorded;
        for side in [&mut now, &mut then] {
            side.retain(|requirement| !unsure.contains(&requirement.name) && !requirement.marker.is_false());
        }
        let (now, then) = (Requirement::condensed(now), Requirement::condensed(then));
        let added: Vec<&Requirement> = now.iter().filter(|new| !then.iter().any(|old| new.may_equal(old))).collect();
        let mut removed: Vec<&Requirement> =
            then.iter().filter(|old| !now.iter().any(|new| new.may_equal(old))).collect();
        let Subject { name, verb } = subject;
        for new in added {
            let old = removed.iter().position(|old| old.name == new.name).map(|position| removed.remove(position));
            self.found.push(match old {
                Some(old) => {
                    format!("{name} {verb} `{}`, the lock has `{}`", new.shown(self.root), old.shown(self.root))
                }
                None => format!("{name} {verb} `{}`, which the lock does not have", new.shown(self.root)),
            });
        }
        let not = if *verb == "has" { "does not have" } else { "does not require" };
        self.found.extend(
            removed.into_iter().map(|old| format!("{name} {not} `{}`, which the lock has", old.shown(self.root))),
        );
    }

    fn requirement(&self, record: &RequirementRecord) -> Option<Requirement> {
        Requirement::recorded(record, self.root, self.bounds.as_ref())
    }

    /// Requirements of the lock; `None` if some of them cannot be understood.
    fn recorded(&self, records: &[Written<RequirementRecord>]) -> Option<Vec<Requirement>> {
        let known = |record: &Written<RequirementRecord>| match record {
            Written::Known(record) => self.requirement(record),
            Written::Other(_) => None,
        };
        records.iter().map(known).collect()
    }

    /// Requirements as written in a manifest; `None` if some of them cannot be understood.
    fn declared<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
        extra: Option<&ExtraName>,
        group: Option<&GroupName>,
        manifest: &Manifest,
    ) -> Option<Declared> {
        let requirements = texts.into_iter().map(Requirement::declared).collect::<Option<Vec<_>>>()?;
        self.lowered(requirements, extra, group, manifest)
    }

    /// Applies `[tool.uv.sources]`: each source that counts takes the part of a requirement that its marker says, and
    /// what is left stays as it is.
    fn lowered(
        &self,
        requirements: Vec<Requirement>,
        extra: Option<&ExtraName>,
        group: Option<&GroupName>,
        manifest: &Manifest,
    ) -> Option<Declared> {
        let mut lowered = Declared::default();
        for mut requirement in requirements {
            if let Some(extra) = extra {
                requirement.marker = requirement.marker.and(ComparableMarker::of_extra(extra));
            }
            let extra = requirement.extra();
            let sources = manifest.uv().sources.get(&requirement.name).map(|sources| (sources, manifest));
            let sources = sources.or_else(|| {
                // Others know nothing of this workspace.
                self.shares_sources(manifest).then_some(())?;
                let sources = self.manifest.uv().sources.get(&requirement.name)?;
                Some((sources, self.manifest))
            });
            let counts = |source: &&SourceTable| {
                source.extra.as_ref().is_none_or(|wanted| extra.as_ref() == Some(wanted))
                    && source.group.as_ref().is_none_or(|wanted| group == Some(wanted))
            };
            let mut rest = requirement.marker;
            if let Some((sources, origin)) = sources {
                for source in sources.as_slice().iter().filter(counts) {
                    let marker = match &source.marker {
                        Some(text) => ComparableMarker::parse(text)?,
                        None => ComparableMarker::TRUE,
                    };
                    rest = rest.and(marker.negate());
                    let place = self.place(source, origin, manifest, &requirement);
                    if matches!(place, Place::Unknown) {
                        lowered.unsure.insert(requirement.name.clone());
                    }
                    let marker = simplified(marker.and(requirement.marker), self.bounds.as_ref());
                    lowered.requirements.push(Requirement { marker, place, ..requirement.clone() });
                }
            }
            let marker = simplified(rest, self.bounds.as_ref());
            if !rest.is_false() {
                lowered.requirements.push(Requirement { marker, ..requirement });
            }
        }
        Some(lowered)
    }

    /// Where a source says that a requirement comes from.
    fn place(&self, source: &SourceTable, origin: &Manifest, manifest: &Manifest, requirement: &Requirement) -> Place {
        let references =
            [(Reference::Revision, &source.rev), (Reference::Tag, &source.tag), (Reference::Branch, &source.branch)];
        if let Some(repository) = &source.git {
            let reference = references.into_iter().find_map(|(kind, text)| Some((kind, text.clone()?)));
            Place::git(repository, reference, source.subdirectory.clone())
        } else if let Some(url) = &source.url {
            Place::url(url, source.subdirectory.clone())
        } else if let Some(path) = &source.path {
            Place::path(&origin.directory, path)
        } else if let Some(name) = &source.index {
            let versions = match &requirement.place {
                Place::Index { versions, .. } => versions.clone(),
                _ => VersionSpecifiers::empty(),
            };
            let shared = if self.shares_sources(manifest) { &self.manifest.uv().index[..] } else { &[] };
            let mut indexes = manifest.uv().index.iter().chain(shared);
            let index = indexes.find(|index| index.name.as_ref() == Some(name));
            index.map_or(Place::Unknown, |index| Place::index(versions, &index.url))
        } else if source.workspace == Some(toml::Value::Boolean(true)) {
            let member = self.members.get(&requirement.name).filter(|_| self.shares_sources(manifest));
            member.map(|member| normalized(&member.directory)).map_or(Place::Unknown, Place::Path)
        } else {
            Place::Unknown
        }
    }
}

/// Whether a package needs anything, be it for an extra or a group.
fn has_edges(package: &Package) -> bool {
    let mut choices = package.extras.values().chain(package.groups.values());
    !package.dependencies.is_empty() || choices.any(|edges| !edges.is_empty())
}

/// The directory of a source tree, relative to the lock.
fn source_directory(package: &Package) -> Option<&Path> {
    match &package.source {
        Source::Directory(path) | Source::Editable(path) | Source::Virtual(path) => Some(path),
        _ => None,
    }
}

/// The requirements of a group with those of the groups that it includes, before sources are applied.
///
/// `visited` are the groups that were met before, with whether all of each was seen; the rest of them is a circle.
fn group_requirements(
    manifest: &Manifest,
    group: &GroupName,
    visited: &mut BTreeMap<GroupName, bool>,
) -> Option<Vec<Requirement>> {
    match visited.insert(group.clone(), false) {
        None => {}
        Some(false) => return None,
        // Included again it adds nothing, unless it is for other Pythons then.
        Some(true) => {
            visited.insert(group.clone(), true);
            return manifest.uv().dependency_groups.is_empty().then(Vec::new);
        }
    }
    let mut requirements = Vec::new();
    for entry in manifest.dependency_groups.get(group)? {
        match entry {
            GroupEntry::Requirement(text) => requirements.push(Requirement::declared(text)?),
            GroupEntry::Include { group } => requirements.extend(group_requirements(manifest, group, visited)?),
            GroupEntry::Other(_) => return None,
        }
    }
    visited.insert(group.clone(), true);
    if let Some(pythons) = manifest.uv().dependency_groups.get(group).and_then(|table| table.requires_python.clone()) {
        let marker = ComparableMarker::of_python(pythons)?;
        for requirement in &mut requirements {
            requirement.marker = requirement.marker.and(marker);
        }
    }
    Some(requirements)
}
