//! `tamis new`.

use crate::args::{NewArgs, Vcs};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::template::{self, Rendered};
use crate::ui::Ui;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a package begins with when nothing else is said.
const TEMPLATE: &str = "header";
/// Where the copy of the sdk goes.
const VENDOR: &str = "vendor";

pub(super) fn run(args: &NewArgs, ui: &mut Ui) -> Result<Exit> {
    if args.list {
        return list(ui);
    }
    let (name, template) = chosen(args)?;
    let name = name.as_str();
    template::check_name(name)?;
    let template = template::find(&template)?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        let failure = Failure::new(Code::FolderInUse, format!("`{}` is not empty", folder.display()));
        return Err(failure.hint("`--dir FOLDER` names another place"));
    }
    let (sdk, mut files) = match &args.sdk {
        Some(path) => (own_sdk(path)?, Vec::new()),
        None => (format!("{VENDOR}/tamis-sdk"), vendored()),
    };
    files.extend(template::render(&template, name, &args.set, &sdk)?);
    for file in &files {
        write(&folder, file)?;
    }
    if args.vcs == Vcs::Git {
        git(&folder)?;
    }
    ui.status("Created", &format!("filter `{name}` from template `{}`", template.name));
    ui.hint(&format!("cd {} && tamis build && tamis test", folder.display()));
    if ui.json() {
        let folder = folder.display().to_string();
        let line =
            serde_json::json!({"event": "created", "name": name, "template": template.name, "path": folder});
        ui.json_line(&line)?;
    } else {
        ui.data(&format!("{}\n", folder.display()))?;
    }
    Ok(Exit::Ok)
}

/// Name and template: as said, else asked for on a terminal. Off one nothing is asked, ever.
fn chosen(args: &NewArgs) -> Result<(String, String)> {
    let default = || args.template.clone().unwrap_or_else(|| TEMPLATE.to_owned());
    if let Some(name) = &args.name {
        return Ok((name.clone(), default()));
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let failure = Failure::new(Code::Usage, "a name for the package is missing");
        return Err(failure.run("tamis new NAME"));
    }
    let templates: Vec<_> = template::all()?.iter().map(|t| (t.name, t.about.summary.clone())).collect();
    ask(&mut std::io::stdin().lock(), &mut std::io::stderr(), &templates, args.template.as_deref())
}

/// Asks until there is a name that cargo takes and a template that there is. Nothing but Enter takes the default.
fn ask(
    input: &mut impl BufRead,
    output: &mut impl Write,
    templates: &[(&str, String)],
    template: Option<&str>,
) -> Result<(String, String)> {
    let name = loop {
        let name = answer(input, output, "name of the package: ")?;
        match template::check_name(&name) {
            Ok(()) => break name,
            Err(failure) => writeln!(output, "{}", failure.headline())?,
        }
    };
    if let Some(template) = template {
        return Ok((name, template.to_owned()));
    }
    for (template, summary) in templates {
        writeln!(output, "  {template}  {summary}")?;
    }
    loop {
        let template = answer(input, output, &format!("template [{TEMPLATE}]: "))?;
        let template = if template.is_empty() { TEMPLATE } else { &template };
        if templates.iter().any(|(known, _)| *known == template) {
            return Ok((name, template.to_owned()));
        }
        writeln!(output, "no template `{template}`")?;
    }
}

fn answer(input: &mut impl BufRead, output: &mut impl Write, question: &str) -> Result<String> {
    write!(output, "{question}")?;
    output.flush()?;
    let mut line = String::new();
    match input.read_line(&mut line)? {
        0 => Err(Failure::new(Code::Interrupted, "the input ended before the answer")),
        _ => Ok(line.trim().to_owned()),
    }
}

fn vendored() -> Vec<Rendered> {
    let file = |(path, content): &(&str, &[u8])| Rendered {
        path: format!("{VENDOR}/{path}"),
        content: content.to_vec(),
    };
    template::sdk().iter().map(file).collect()
}

/// The folder of an sdk that the user has, as the manifest will name it.
fn own_sdk(path: &Path) -> Result<String> {
    let manifest = path.join("Cargo.toml");
    let text = String::from_utf8(crate::plan::read_file(&manifest)?).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    if table.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()) != Some("tamis-sdk") {
        return Err(Failure::new(
            Code::Usage,
            format!("`{}` is not the package `tamis-sdk`", path.display()),
        ));
    }
    let full = std::fs::canonicalize(path)?;
    Ok(full.display().to_string())
}

fn write(folder: &Path, file: &Rendered) -> Result<()> {
    let path = folder.join(&file.path);
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(&path, &file.content))
        .map_err(|e| Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e))
}

fn git(folder: &Path) -> Result<()> {
    let status =
        Command::new("git").arg("init").arg("--quiet").current_dir(folder).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Code::CannotWrite, format!("`git init` ended with {status}"))),
        Err(e) => {
            Err(Failure::because(Code::CannotWrite, "cannot start git", e).hint("`--vcs none` does without"))
        }
    }
}

fn list(ui: &mut Ui) -> Result<Exit> {
    for template in template::all()? {
        if ui.json() {
            let set: Vec<_> = template
                .about
                .set
                .iter()
                .map(|v| serde_json::json!({"key": v.key, "default": v.default, "text": v.text}))
                .collect();
            let about = &template.about.summary;
            ui.json_line(&serde_json::json!({"event": "template", "name": template.name, "summary": about, "set": set}))?;
            continue;
        }
        let mut text = format!("{}  {}\n", template.name, template.about.summary);
        for value in &template.about.set {
            text.push_str(&format!("  --set {}={}  {}\n", value.key, value.default, value.text));
        }
        ui.data(&text)?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(input: &str, template: Option<&str>) -> (Result<(String, String)>, String) {
        let templates = [("auth", "checks tokens".to_owned()), ("header", "sets headers".to_owned())];
        let mut output = Vec::new();
        let answer = ask(&mut input.as_bytes(), &mut output, &templates, template);
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn it_asks_until_the_answers_can_be_used() {
        let (answer, shown) = asked("1st\nfirst\nnone\nauth\n", None);
        assert_eq!(answer.unwrap(), ("first".to_owned(), "auth".to_owned()));
        assert!(shown.contains("no template `none`") && shown.contains("auth  checks tokens"), "{shown}");
        let (answer, _) = asked("first\n\n", None);
        assert_eq!(answer.unwrap().1, TEMPLATE);
    }

    #[test]
    fn what_was_said_is_not_asked_and_an_end_is_an_end() {
        let (answer, shown) = asked("first\n", Some("auth"));
        assert_eq!(answer.unwrap().1, "auth");
        assert!(!shown.contains("template"), "{shown}");
        for input in ["", "first\n", "1st\n"] {
            assert_eq!(asked(input, None).0.unwrap_err().code, Code::Interrupted, "{input:?}");
        }
    }
}
