//! Two texts beside each other.

/// Both texts line by line: common lines as they are, others with `-` or `+`.
pub fn difference(want: &str, got: &str) -> String {
    let (want, got): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    let mut longest = vec![vec![0; got.len() + 1]; want.len() + 1];
    for i in (0..want.len()).rev() {
        for j in (0..got.len()).rev() {
            longest[i][j] = if want[i] == got[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < want.len() || j < got.len() {
        let (sign, line) = if i < want.len() && j < got.len() && want[i] == got[j] {
            (i, j) = (i + 1, j + 1);
            (' ', want[i - 1])
        } else if j == got.len() || (i < want.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            i += 1;
            ('-', want[i - 1])
        } else {
            j += 1;
            ('+', got[j - 1])
        };
        text.push_str(&format!("  {sign} {line}\n"));
    }
    text
}
