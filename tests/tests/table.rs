//! Which test holds each of the 80 rows of section 3 of docs/envoy.md: the list, checked against the tests, and
//! `docs/conformance.md`, written by `BLESS=1 cargo test -p tamis-tests --test table`.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use tamis_tests::{row, tree};

/// Rows that a scripted guest cannot show, or that lie in a file of another number: `FILE::TEST`, or the name of a row
/// file. Each of these tests asks both engines.
const ELSEWHERE: &[(u32, &[&str])] = &[
    (41, &["fatal::envoy_2_4_and_2_5_where_envoy_crashes_the_host_reports_it"]),
    (43, &["start::envoy_1_5_a_root_that_is_not_done_waits_for_proxy_done"]),
    (
        44,
        &[
            "start::envoy_1_5_one_filter_is_loaded_four_times_and_configured_three_times",
            "start::envoy_1_5_filters_of_one_vm_start_one_after_the_other_in_it",
        ],
    ),
    (
        45,
        &[
            "modules/loads::envoy_1_4_what_starts_in_envoy_starts_here",
            "modules/loads::envoy_1_4_what_envoy_refuses_is_refused_here",
        ],
    ),
    (46, &["start::envoy_2_12_a_refused_configuration_is_a_start_failure_under_every_policy"]),
    (48, &["modules/loads::envoy_1_4_what_envoy_refuses_is_refused_here"]),
    (50, &["modules/wasi::envoy_2_11_every_wasi_function_answers_alike"]),
    (54, &["53-properties-that-are-no-value"]),
    (57, &["52-properties-of-the-proxy"]),
    (76, &["fatal::envoy_2_15_where_a_worker_hangs_the_host_reports_it"]),
    (
        79,
        &["modules/old_abi::envoy_1_2_abi_0_1_0_has_headers_callbacks_without_end_and_empty_absent_headers"],
    ),
];

/// Number and subject of each row of the table.
fn subjects() -> Result<Vec<(u32, String)>> {
    let text = std::fs::read_to_string(tree::root().join("docs/envoy.md"))?;
    let table = text.split("## 3. ").nth(1).context("docs/envoy.md has no section 3")?;
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
    };
    Ok(table.lines().filter_map(row).collect())
}

/// The row files by their number, with what each says.
fn files() -> Result<BTreeMap<u32, Vec<(String, String)>>> {
    let mut all = BTreeMap::<u32, Vec<_>>::new();
    for path in tree::files(&tree::root().join("tests/conformance"), ".yaml") {
        let (name, row) = row::read(&path)?;
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let number = name[..digits].parse().with_context(|| format!("{name} begins with no number"))?;
        all.entry(number).or_default().push((name, row.says));
    }
    Ok(all)
}

/// A test is there and really asks both engines.
fn check(test: &str) -> Result<()> {
    let Some((file, name)) = test.split_once("::") else {
        let path = tree::root().join(format!("tests/conformance/{test}.yaml"));
        ensure!(path.is_file(), "there is no row {test}");
        return Ok(());
    };
    let text = std::fs::read_to_string(tree::root().join(format!("tests/tests/{file}.rs")))?;
    let after = text.split(&format!("#[test]\nfn {name}(")).nth(1);
    let body = after.with_context(|| format!("there is no test {test}"))?.split("\n}\n").next().unwrap_or("");
    let any = |words: &[&str]| words.iter().any(|word| body.contains(word));
    ensure!(any(&["Envoy::start", "in_envoy", "start(&", ".lines("]), "{test} starts no Envoy");
    ensure!(any(&["play_on_host", "on_host", "Stage::builder", ".lines("]), "{test} does not ask the host");
    Ok(())
}

#[test]
fn each_row_of_the_table_is_held_by_a_test_that_asks_both_engines() -> Result<()> {
    let (subjects, files) = (subjects()?, files()?);
    assert_eq!(subjects.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (1..=80).collect::<Vec<_>>());
    let mut page = String::from(
        "# The rows and their tests\n\n\
         Section 3 of [envoy.md](envoy.md), row by row, and the tests that hold it. A name with a number is a file of\n\
         `tests/conformance`: a real Envoy and the test host play it on every run and must give its `.txt`. A name with\n\
         `::` is a test of `tests/tests` that asks both. This page is written by the test `table`.\n\n\
         | row | what | held by |\n|---|---|---|\n",
    );
    for (number, subject) in &subjects {
        let own = files.get(number).into_iter().flatten().map(|(name, _)| name.as_str());
        let elsewhere = ELSEWHERE.iter().filter(|(n, _)| n == number).flat_map(|(_, tests)| *tests);
        let mut held = Vec::new();
        for test in own.chain(elsewhere.copied()) {
            check(test)?;
            held.push(format!("`{test}`"));
        }
        ensure!(!held.is_empty(), "nothing holds row {number}: {subject}");
        writeln!(page, "| {number} | {subject} | {} |", held.join("<br>"))?;
    }
    page.push_str(
        "\n## Further rows\n\nWhat was measured beside the table.\n\n| row | what Envoy does |\n|---|---|\n",
    );
    for (name, says) in files.iter().filter(|(number, _)| **number > 80).flat_map(|(_, rows)| rows) {
        writeln!(page, "| `{name}` | {says} |")?;
    }
    let path = tree::root().join("docs/conformance.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page)?;
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page,
        "docs/conformance.md is not up to date"
    );
    Ok(())
}
