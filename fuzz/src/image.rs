//! Images, what is attached to them, and what registries answer.

use crate::one_line;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tamis_oci::mend::mend;
use tamis_oci::remote::Registry;
use tamis_oci::sign::{PublicKey, check, verify};
use tamis_oci::{
    Descriptor, Digest, Error, Fetched, Kind, Layout, Reference, Saved, Store, Watch, attached as list,
    consumers, fetch, sbom, types,
};

/// Blobs and one manifest, `t`.
struct Shelf {
    blobs: BTreeMap<Digest, Vec<u8>>,
    manifest: Vec<u8>,
}

impl Store for Shelf {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        match reference {
            "t" => Ok((self.manifest.clone(), None)),
            _ => Err(Error::new(Kind::NotFound, "one manifest alone")),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let found = self.blobs.get(&descriptor.digest);
        found.cloned().ok_or_else(|| Error::new(Kind::Broken, "no such blob"))
    }
}

const LAYERS: [&str; 9] = [
    types::OCI_LAYER,
    types::OCI_LAYER_PLAIN,
    types::OCI_LAYER_ZSTD,
    types::DOCKER_LAYER,
    types::DOCKER_LAYER_PLAIN,
    types::SOLO_MODULE,
    types::CNCF_MODULE,
    types::WASM_TO_OCI_MODULE,
    "text/plain",
];

/// The first byte says what the others are: a layer of some type, a configuration, a manifest, or a saved image.
/// Everybody has an opinion in one line, and what is mended the meshes load.
pub fn image(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let which = usize::from(*first) % (LAYERS.len() + 3);
    if which == LAYERS.len() + 2 {
        match Saved::from_reader(rest, Path::new("saved.tar")) {
            Ok(saved) => {
                if let Ok(tag) = saved.only() {
                    look(&saved, &tag);
                }
            }
            Err(error) => one_line(&error),
        }
        return;
    }
    let mut blobs = BTreeMap::new();
    let mut keep = |kind: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(kind, bytes);
        blobs.insert(descriptor.digest.clone(), bytes.to_vec());
        serde_json::json!(descriptor)
    };
    let (config, layer) = match LAYERS.get(which) {
        Some(kind) => (keep(types::OCI_CONFIG, b"{}"), keep(kind, rest)),
        None => (keep(types::OCI_CONFIG, rest), keep(types::CNCF_MODULE, FILTER)),
    };
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let manifest = if which == LAYERS.len() + 1 { rest.to_vec() } else { manifest.to_string().into_bytes() };
    look(&Shelf { blobs, manifest }, "t");
}

/// A filter that a proxy loads: one function, exported as the marker.
const FILTER: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x1b\x01\x17proxy_abi_version_0_2_1\0\0\x0a\x04\x01\x02\0\x0b";

fn look(store: &dyn Store, target: &str) {
    match fetch(store, target) {
        Ok(fetched) => opinions(&fetched),
        Err(error) => one_line(&error),
    }
    match mend(store, target, Layout::Compat) {
        Ok(mended) => {
            let again = fetch(&mended.image, "t").expect("our own image is read");
            assert!(consumers::judge(&again).iter().all(|o| o.loads || o.consumer == "wkg"), "{mended:?}");
        }
        Err(error) => one_line(&error),
    }
}

fn opinions(fetched: &Fetched) {
    for finding in consumers::judge(fetched).iter().flat_map(|o| &o.findings) {
        one_line(&finding.text);
    }
}

/// Whose private half nobody has any more.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6k36CMQf7QqCl0d9xAnQE1Hqb5fc\n\
yNGvYZ/f2WBS+ktjaHZ76AU4cYQa2A9pAljJJxiV7oafzbKYGriB0/O2Lw==\n\
-----END PUBLIC KEY-----\n";

static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("tamis-fuzz-{}.pub", std::process::id()));
    std::fs::write(&path, KEY).expect("a temporary file");
    let key = PublicKey::file(&path).expect("a key");
    let _ = std::fs::remove_file(path);
    key
});

/// What is attached: no bytes are a signature of a key that signed nothing, and a list of packages is one or says why
/// not.
pub fn attached(data: &[u8]) {
    let why = check(data, &Digest::of(b"x"), &PUBLIC).expect_err("nobody has the key");
    one_line(&why);
    if let Err(error) = sbom::count(data) {
        one_line(&error);
    }
}

/// Asks no more than so many times, and never waits.
struct Hasty(RefCell<u32>);

impl Watch for Hasty {
    fn stopped(&self) -> bool {
        *self.0.borrow_mut() += 1;
        *self.0.borrow() > 60
    }

    fn wait(&self, _: Duration) {}
}

/// What the registry on loopback answers, whatever it is asked.
static ANSWERS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static REGISTRY: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A request comes in one piece, or the rest of it does not matter.
            let _ = stream.read(&mut [0; 4096]);
            let answer = ANSWERS.lock().map(|a| a.clone()).unwrap_or_default();
            let _ = (stream.write_all(&answer), stream.shutdown(Shutdown::Write));
        }
    });
    at
});

/// One answer for all that a registry is asked: the image, what is attached to it, a signature. Errors are one line.
pub fn answers(data: &[u8]) {
    if let Ok(mut answer) = ANSWERS.lock() {
        *answer = data.to_vec();
    }
    let reference: Reference = format!("{}/team/filter", *REGISTRY).parse().expect("a name");
    let hasty = Hasty(RefCell::new(0));
    let registry = match Registry::open(&reference, &Default::default(), &|_| None, &hasty) {
        Ok(registry) => registry,
        Err(error) => return one_line(&error),
    };
    match fetch(&registry, "t") {
        Ok(fetched) => opinions(&fetched),
        Err(error) => one_line(&error),
    }
    let digest = Digest::of(data);
    if let Err(error) = list(&registry, &digest) {
        one_line(&error);
    }
    one_line(&verify(&registry, &digest, &PUBLIC).expect_err("nobody has the key"));
}
