//! A published filter, for a run: fetched, checked, and kept by digest.

use super::{Remote, cache_folder, environment};
use crate::failure::{Code, Failure, Result};
use crate::screen::Screen;
use crate::ui::Ui;
use tamis_oci::remote::Registry;
use tamis_oci::{Cached, Reference, fetch};

/// The module of an image, and the image's name with the digest that it has now. Of what lies in the cache only a tag
/// is asked for.
///
/// # Errors
/// When the image cannot be had, or holds no module.
pub(crate) fn module(reference: &Reference, remote: &Remote, ui: &mut Ui) -> Result<(Reference, Vec<u8>)> {
    ui.status("Fetching", &reference.to_string());
    let options = remote.options()?;
    let screen = Screen::new(ui);
    let open = || Registry::open(reference, options, &environment, &screen);
    let store = Cached::new(cache_folder().map(|f| f.join("images")), open);
    let fetched = fetch(&store, reference.target())?;
    let pinned = Reference { tag: None, ..reference.pinned(&fetched.digest) };
    let found = fetched.child.as_ref().and_then(|c| c.found());
    let Some(found) = found else {
        let failure = Failure::new(Code::BadImage, format!("no module in {reference}"));
        return Err(failure.run(format!("tamis inspect oci://{reference}")));
    };
    Ok((pinned, found.wasm.to_vec()))
}
