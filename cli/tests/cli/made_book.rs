//! The book as mdBook makes it: without a complaint, and with no link that leads nowhere. Needs mdBook
//! (`cargo xtask setup`).

use crate::support::docs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// What a page is for its links.
#[derive(Default)]
struct Page {
    /// Targets, as they stand there.
    links: Vec<String>,
    /// What a link behind `#` can name.
    ids: BTreeSet<String>,
}

impl Page {
    fn read(html: &str) -> Self {
        let all = |name: &str| {
            let values = html.split(&format!(" {name}=\"")).skip(1).map(str::to_owned).collect::<Vec<_>>();
            values.into_iter().filter_map(|rest| Some(rest.split_once('"')?.0.replace("&amp;", "&")))
        };
        Self { links: all("href").chain(all("src")).collect(), ids: all("id").collect() }
    }
}

/// All pages below a folder, by their paths in it.
fn pages(root: &Path, folder: &Path, into: &mut BTreeMap<PathBuf, Page>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(root, &path, into);
        } else if path.extension().is_some_and(|e| e == "html") {
            let page = Page::read(&std::fs::read_to_string(&path).unwrap());
            into.insert(path.strip_prefix(root).unwrap().to_owned(), page);
        }
    }
}

/// Without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn the_book_is_made_and_all_its_links_lead_somewhere() {
    let made = tempfile::tempdir().unwrap();
    let mdbook = std::env::var_os("TAMIS_MDBOOK").unwrap_or_else(|| "mdbook".into());
    let mut command = Command::new(mdbook);
    command.arg("build").arg(docs()).arg("--dest-dir").arg(made.path());
    let output = command.output().expect("mdBook is there (`cargo xtask setup`)");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");

    let mut book = BTreeMap::new();
    pages(made.path(), made.path(), &mut book);
    let (mut seen, mut dead) = (0, Vec::new());
    // The page for what is not there counts from the root of the server, wherever the book lies.
    for (place, page) in book.iter().filter(|(place, _)| !place.ends_with("404.html")) {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("data:")) {
            seen += 1;
            let (path, id) = link.split_once('#').unwrap_or((link, ""));
            let folder = place.parent().unwrap();
            let target = if path.is_empty() { place.clone() } else { plain(&folder.join(path)) };
            let known = match book.get(&target) {
                Some(target) => id.is_empty() || target.ids.contains(id),
                None => made.path().join(&target).is_file(),
            };
            if !known {
                dead.push(format!("{}: {link}", place.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n  {}", dead.join("\n  "));
    assert!(seen > 1000, "{seen} links were found");
}
