//! `tamis new`.

use crate::args::{NewArgs, Vcs};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::template::{self, Rendered};
use crate::ui::Ui;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the copy of the sdk goes.
const VENDOR: &str = "vendor";

pub(super) fn run(args: &NewArgs, ui: &mut Ui) -> Result<Exit> {
    let Some(name) = args.name.as_deref().filter(|_| !args.list) else {
        return list(ui);
    };
    template::check_name(name)?;
    let template = template::find(&args.template)?;
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
