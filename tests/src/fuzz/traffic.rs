//! Random requests and answers.

use super::dice::Dice;
use super::words::{PATHS, PIECES, REQUEST, RESPONSE, TRAILERS, VALUES};
use crate::row::{Answer, Piece, Step};

/// A request and what the upstream says to it; without scripts.
pub(super) fn step(dice: &mut Dice) -> Step {
    let http2 = dice.percent(35);
    let method =
        dice.weigh(&[(8, "GET"), (7, "POST"), (2, "PUT"), (1, "HEAD"), (1, "DELETE"), (1, "OPTIONS")]);
    let path = if dice.percent(60) { "/" } else { dice.pick(PATHS) };
    let mut step = Step {
        method: Some(method.to_owned()).filter(|m| m != "GET"),
        path: Some(unescaped(path)).filter(|p| p != "/"),
        headers: fields(dice, REQUEST),
        http2,
        ..Step::default()
    };
    if dice.percent(6) {
        let kind = dice.pick(&["application/grpc", "application/grpc+proto", "application/grpc-web"]);
        step.headers.retain(|(name, _)| name != "content-type");
        step.headers.push(("content-type".into(), kind.into()));
    }
    // Envoy joins the crumbs of cookies over HTTP/2, and forgets those that are empty.
    step.headers.retain(|(name, value)| !(http2 && name == "cookie" && value.is_empty()));
    if dice.percent(3) {
        step.hex_headers.push(("x-odd".into(), "e9ff".into()));
    }
    // HTTP/2 libraries write fields of one name together.
    step.headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    let may = match method {
        "GET" | "DELETE" | "OPTIONS" => 15,
        "HEAD" => 0,
        _ => 85,
    };
    if dice.percent(may) {
        step.body = pieces(dice);
        step.chunked = step.body.is_empty() || dice.percent(45);
        if step.chunked && dice.percent(25) {
            step.trailers = fields(dice, TRAILERS);
            step.trailers.retain(|(name, value)| !(http2 && name == "cookie" && value.is_empty()));
            step.trailers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        }
    }
    step.answer = answer(dice, method == "HEAD");
    step
}

fn answer(dice: &mut Dice, bare: bool) -> Answer {
    let status =
        dice.weigh(&[(12, 200), (1, 201), (1, 204), (1, 304), (1, 302), (1, 404), (1, 500), (1, 503)]);
    let mut answer = Answer { status, headers: fields(dice, RESPONSE), ..Answer::default() };
    if !bare && !matches!(status, 204 | 304) && dice.percent(70) {
        answer.body = pieces(dice);
        answer.chunked = dice.percent(40);
        if answer.chunked && dice.percent(30) {
            answer.trailers = fields(dice, TRAILERS);
        }
    }
    answer
}

fn fields(dice: &mut Dice, names: &[(usize, &str)]) -> Vec<(String, String)> {
    let count = dice.weigh(&[(3, 0), (3, 1), (3, 2), (1, 3), (1, 5)]);
    let mut all = Vec::new();
    for _ in 0..count {
        let name = dice.weigh(names);
        let value = match name {
            "grpc-status" => dice.pick(&["0", "5"]),
            _ => dice.weigh(VALUES),
        };
        all.push((name.to_owned(), unescaped(value)));
    }
    all
}

fn pieces(dice: &mut Dice) -> Vec<Piece> {
    let count = dice.weigh(&[(1, 0), (40, 1), (2, 2), (1, 3)]);
    (0..count)
        .map(|_| {
            if dice.percent(2) {
                Piece::Many { repeat: "0123456789".into(), times: 300 }
            } else {
                dice.pick(PIECES).into()
            }
        })
        .collect()
}

/// A word of a script as text.
fn unescaped(word: &str) -> String {
    if word == "-" {
        return String::new();
    }
    ["%20", "%22", "%26", "%3b", "%25"]
        .iter()
        .zip([" ", "\"", "&", ";", "%"])
        .fold(word.to_owned(), |text, (code, plain)| text.replace(code, plain))
}
