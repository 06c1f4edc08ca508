//! What a proxy says of itself: anybody may answer at its address.

use tamis_oci::Digest;
use tamis_oci::proxy::{Dump, Said, Stats};

/// The bytes are a configuration and, behind the first zero byte, statistics in both forms: a picture of filters that is
/// the same twice, or an error.
pub fn proxy(data: &[u8]) {
    let (dump, stats) = data.split_at(data.iter().position(|b| *b == 0).unwrap_or(data.len()));
    let stats = stats.strip_prefix(b"\0").unwrap_or(stats);
    let read = || {
        let mut all = Dump::default();
        all.read(dump).is_ok().then_some(all)
    };
    for stats in [Stats::text(stats), Stats::prometheus(stats)].into_iter().flatten() {
        let said = |dump| Said { dump, stats: stats.clone(), ..Said::default() };
        let asked = ["hello".to_owned()];
        for (one, two) in [(said(read()), said(read())), (said(None), said(None))] {
            let filters = one.filters(&asked);
            assert_eq!(filters, two.filters(&asked));
            assert_eq!(one.troubles(), two.troubles());
            for filter in filters {
                filter.is("hello");
                for claim in filter.claims {
                    assert_eq!(claim.digest.as_str().parse::<Digest>().as_ref(), Ok(&claim.digest));
                }
            }
        }
    }
}
