//! Large blobs, and registries that want pieces: what is sent after a fault.

use crate::desk::{Desk, chain};
use crate::real::Real;
use crate::scripted::{Asked, Say, Scripted, Told};
use crate::shelf::image;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tamis_oci::{Error, Image, Kind, Layout};

const MIB: usize = 1 << 20;

/// An image whose module has so many bytes, more or less; it goes as it is.
fn large(bytes: usize) -> Image {
    let mut wasm = crate::shelf::filter();
    let mut section = vec![1, b'x'];
    section.resize(bytes, 7);
    wasm.push(0);
    let mut length = section.len();
    while length >= 0x80 {
        wasm.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    wasm.push(u8::try_from(length).unwrap());
    wasm.extend(section);
    image(Layout::Solo, &wasm)
}

/// The error of a push; what was pushed is too long to be shown.
fn fails(desk: &Desk, registry: &Scripted, image: &Image) -> Error {
    match desk.push_as(&registry.at, image, &["v1"], false) {
        Ok(_) => panic!("it was pushed"),
        Err(error) => error,
    }
}

/// The pieces as the registry was asked to take them.
fn ranges(registry: &Scripted) -> Vec<String> {
    let pieces = registry.asked().into_iter().filter(|a| a.method == "PATCH");
    pieces.map(|a| a.header("content-range").unwrap().to_owned()).collect()
}

/// Says this to the piece with this number, counted from 0.
fn at_piece(number: usize, say: Say) -> impl FnMut(&Asked) -> Say + Send {
    let mut seen = 0;
    move |asked| {
        if asked.method != "PATCH" {
            return Say::Honest;
        }
        seen += 1;
        if seen == number + 1 { say.clone() } else { Say::Honest }
    }
}

#[test]
fn a_large_module_goes_to_a_real_registry_in_pieces() {
    let (registry, desk) = (Real::open(), Desk::default());
    let image = large(40 * MIB);
    desk.push_as(&registry.at, &image, &["v1"], false).unwrap();
    // 16, 16 and 8 MiB; the two small blobs go whole.
    assert_eq!(registry.requests("PATCH", "/blobs/uploads/"), 3);
    assert_eq!(registry.requests("POST", "/blobs/uploads/"), 3);
    assert_eq!(&desk.pull(&registry.at, "v1").unwrap().digest, image.digest());
    assert_eq!(desk.push_as(&registry.at, &image, &["v1"], false).unwrap().uploaded, 0);
}

#[test]
fn pieces_are_of_the_size_that_the_registry_wants_23() {
    let wants = |least: usize| {
        Scripted::start(move |asked| match asked.is("POST", "/uploads/") {
            true => Say::Adorned(vec![("oci-chunk-min-length".into(), least.to_string())]),
            false => Say::Honest,
        })
    };
    let image = large(20 * MIB);
    let size = image.blobs[2].bytes.len();
    for (least, pieces) in [(MIB, 2), (18 * MIB, 2), (size, 0)] {
        let registry = wants(least);
        Desk::default().push_as(&registry.at, &image, &["v1"], false).unwrap();
        assert!(registry.whole("v1"));
        assert_eq!(ranges(&registry).len(), pieces, "{least}: {:?}", ranges(&registry));
    }
    let registry = wants(18 * MIB);
    Desk::default().push_as(&registry.at, &image, &["v1"], false).unwrap();
    let cut = 18 * MIB;
    assert_eq!(ranges(&registry), [format!("0-{}", cut - 1), format!("{cut}-{}", size - 1)]);
}

#[test]
fn only_the_rest_is_sent_after_a_fault_18() {
    let image = large(40 * MIB);
    let piece = 16 * MIB;
    for (say, goes_on) in [
        (Say::CutPiece(3 * MIB), piece + 3 * MIB),
        (Say::CutPiece(0), piece),
        (Say::CutRequest(MIB), piece),
        (Say::CutAnswer(3), 2 * piece),
        (Say::Instead(Told::new(503)), piece),
        (Say::Instead(Told::new(416)), piece),
    ] {
        let registry = Scripted::start(at_piece(1, say.clone()));
        let desk = Desk::default();
        desk.push_as(&registry.at, &image, &["v1"], false).unwrap();
        assert!(registry.whole("v1"), "{say:?}");
        let third = ranges(&registry)[2].clone();
        assert!(third.starts_with(&format!("{goes_on}-")), "{say:?}: {third}");
        assert_eq!(registry.count("POST", "/uploads/"), 3, "{say:?}: one upload for each blob");
        assert_eq!(registry.count("GET", "/uploads/"), 1);
        assert_eq!(desk.waits.borrow().len(), 1);
    }
}

#[test]
fn an_upload_that_is_forgotten_begins_anew_18() {
    let image = large(40 * MIB);
    let mut asked_before = false;
    let mut piece = at_piece(1, Say::CutPiece(5));
    let registry = Scripted::start(move |asked| {
        if asked.is("GET", "/uploads/") && !asked_before {
            asked_before = true;
            return Say::Instead(Told::error(404, "BLOB_UPLOAD_INVALID", "x"));
        }
        piece(asked)
    });
    Desk::default().push_as(&registry.at, &image, &["v1"], false).unwrap();
    assert!(registry.whole("v1"));
    assert_eq!(ranges(&registry).iter().filter(|r| r.starts_with("0-")).count(), 2);
    assert_eq!(registry.count("POST", "/uploads/"), 4);
}

#[test]
fn a_registry_that_counts_wrongly_is_noticed_23() {
    let image = large(33 * MIB);
    // It has more than it was sent.
    let more = Say::Adorned(vec![("range".into(), format!("0-{}", 40 * MIB))]);
    let registry = Scripted::start(at_piece(0, more));
    let error = fails(&Desk::default(), &registry, &image);
    assert_eq!(error.kind, Kind::Broken, "{}", chain(&error));
    // It says that it has less, each time: that ends.
    let registry = Scripted::start(|asked| match asked.method.as_str() {
        "PATCH" => Say::Adorned(vec![("range".into(), "0-0".into())]),
        "GET" if asked.path.contains("/uploads/") => Say::Adorned(vec![("range".into(), "0-0".into())]),
        _ => Say::Honest,
    });
    let error = fails(&Desk::default(), &registry, &image);
    assert!(matches!(error.kind, Kind::Busy | Kind::Unreachable), "{}", chain(&error));
    assert_eq!(registry.tag("v1"), None);
    // It joins a piece that it says it has not: the digest tells, and all is sent anew, once.
    let mut lies = 1;
    let registry = Scripted::start(move |asked| {
        if asked.is("GET", "/uploads/") && lies > 0 {
            lies -= 1;
            let at = asked.path.clone();
            return Say::Instead(
                Told::new(204).header("range", &format!("0-{}", 33 * MIB)).header("location", &at),
            );
        }
        if asked.method == "PATCH" && lies == 1 { Say::CutPiece(7) } else { Say::Honest }
    });
    Desk::default().push_as(&registry.at, &image, &["v1"], false).unwrap();
    assert!(registry.whole("v1"));
}

/// A way to the registry that breaks at the so-manieth byte, once for each number.
fn cutting(to: &str, at: &'static [usize]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (here, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
    let (through, cuts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut server = TcpStream::connect(&to).unwrap();
            let (through, cuts) = (Arc::clone(&through), Arc::clone(&cuts));
            let (mut back, mut out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut out);
                let _ = out.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count @ 1..) = client.read(&mut buffer) {
                    let sum = through.fetch_add(count, Ordering::SeqCst) + count;
                    let done = cuts.load(Ordering::SeqCst);
                    if at.get(done).is_some_and(|at| sum > *at) {
                        cuts.store(done + 1, Ordering::SeqCst);
                        break;
                    }
                    if server.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    here
}

#[test]
fn a_real_registry_gets_a_large_module_over_a_bad_line_18() {
    let (registry, desk) = (Real::open(), Desk::default());
    let image = large(40 * MIB);
    let line = cutting(&registry.at, &[5 * MIB, 30 * MIB, 60 * MIB]);
    desk.push_as(&line, &image, &["v1"], false).unwrap();
    assert!(!desk.waits.borrow().is_empty());
    assert_eq!(&Desk::default().pull(&registry.at, "v1").unwrap().digest, image.digest());
}

#[test]
fn a_stop_between_pieces_tells_the_registry_25() {
    let registry = Scripted::start(|_| Say::Honest);
    let desk = Desk { patience: Some(20 * MIB as u64), ..Desk::default() };
    let error = fails(&desk, &registry, &large(40 * MIB));
    assert_eq!(error.kind, Kind::Interrupted);
    assert_eq!(registry.count("DELETE", "/uploads/"), 1);
}
