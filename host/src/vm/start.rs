//! From a module to a running VM: instance, memory, allocator, `_initialize` or `_start` (docs/envoy.md 1.4).

use super::{Allowed, Broke, Callbacks, Door, Guest, Used, Vm, enter};
use crate::engine::{Engine, one_line};
use crate::inject::Hook;
use crate::module::{MemorySource, Module};
use crate::stage::{Desk, StartPhase, StartReason};
use crate::{calls, wasi};
use wasmtime::{Global, Instance, Linker, MemoryType, Store};

/// What it takes to make a VM, again and again.
pub(crate) struct Recipe {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    pub(crate) memory: u64,
    pub(crate) fuel: u64,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) allowed: Allowed,
    /// Faults that strike its callbacks.
    pub(crate) hooks: Vec<Hook>,
    /// It has counters that will be read.
    pub(crate) counted: bool,
}

/// A step of the start and why it failed.
pub(crate) type Failed = (StartPhase, StartReason);

impl Vm {
    /// Makes an instance and initialises it. No root context yet.
    pub(crate) fn start(recipe: &Recipe, desk: &mut Box<Desk>) -> Result<Self, Failed> {
        let link = |text: String| (StartPhase::Instantiate, StartReason::Link(text));
        let mut store = Store::new(
            recipe.engine.wasmtime(),
            Guest::new(recipe.module.facts().abi, recipe.memory, recipe.env.clone()),
        );
        store.limiter(|guest| &mut guest.limits);
        let fuel = recipe.engine.counts_fuel().then_some(recipe.fuel);
        if let Some(fuel) = fuel {
            // A start function runs while the instance is made.
            store.set_fuel(fuel).map_err(|e| link(one_line(&e)))?;
        }
        let mut linker = Linker::new(recipe.engine.wasmtime());
        calls::link(&mut linker, recipe.module.facts().abi, &recipe.allowed)
            .map_err(|e| link(one_line(&e)))?;
        wasi::link(&mut linker, |name| recipe.allowed.has(name)).map_err(|e| link(one_line(&e)))?;
        imports(recipe, &mut store, &mut linker).map_err(|e| link(one_line(&e)))?;
        let instance = linker.instantiate(&mut store, recipe.module.code()).map_err(|e| match e
            .downcast_ref::<wasmtime::Trap>()
        {
            Some(_) => {
                let broke = Broke::of(&e, store.data_mut(), fuel);
                (StartPhase::Instantiate, StartReason::Fault { kind: broke.kind, text: broke.text })
            }
            None => link(one_line(&e)),
        })?;
        handles(recipe, &mut store, &instance).map_err(link)?;
        let mut calls = Callbacks::of(&instance, &mut store, &recipe.allowed);
        for hook in &recipe.hooks {
            calls.replace(hook.phase(), &mut store, |store, callback| hook.before(store, callback));
        }
        let counters = if recipe.counted { counters(&mut store, &instance) } else { Vec::new() };
        let loaded = desk.clock.wall();
        initialize(&mut store, &instance, fuel, desk)?;
        let guest = store.data_mut();
        guest.door = Door::Open;
        guest.limits.grown = 0;
        Ok(Vm {
            store,
            calls,
            fuel,
            dead: false,
            ended_by_tool: false,
            ended_by_injection: false,
            loaded,
            next_context: 0,
            counters,
        })
    }
}

/// The counters that coverage has built in, in order.
fn counters(store: &mut Store<Guest>, instance: &Instance) -> Vec<Global> {
    let named = |index: usize| format!("{}{index}", crate::coverage::COUNTER);
    (0..).map_while(|index| instance.get_global(&mut *store, &named(index))).collect()
}

/// Memory and table that the module wants from the host; functions are linked already.
fn imports(recipe: &Recipe, store: &mut Store<Guest>, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for import in recipe.module.code().imports() {
        match import.ty() {
            wasmtime::ExternType::Memory(ty) => {
                let memory = wasmtime::Memory::new(
                    &mut *store,
                    MemoryType::new(ty.minimum() as u32, ty.maximum().map(|m| m as u32)),
                )?;
                linker.define(&*store, import.module(), import.name(), memory)?;
                store.data_mut().memory = Some(memory);
            }
            wasmtime::ExternType::Table(ty) => {
                let table = wasmtime::Table::new(&mut *store, ty, wasmtime::Ref::Func(None))?;
                linker.define(&*store, import.module(), import.name(), table)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn handles(recipe: &Recipe, store: &mut Store<Guest>, instance: &Instance) -> Result<(), String> {
    let facts = recipe.module.facts();
    if let MemorySource::Exported(name) = &facts.memory {
        let memory = instance.get_memory(&mut *store, name);
        store.data_mut().memory = Some(memory.ok_or_else(|| format!("no memory `{name}`"))?);
    }
    let allocate = instance.get_typed_func(&mut *store, facts.allocator).map_err(|e| one_line(&e))?;
    store.data_mut().allocate = Some(allocate);
    Ok(())
}

/// `_initialize` (and then `main` or `__main_void`), else `_start`.
fn initialize(
    store: &mut Store<Guest>,
    instance: &Instance,
    fuel: Option<u64>,
    desk: &mut Box<Desk>,
) -> Result<(), Failed> {
    let fault = |b: Broke| (StartPhase::Initialize, StartReason::Fault { kind: b.kind, text: b.text });
    desk.at.phase = StartPhase::Initialize.name();
    let mut used = Used::default();
    let Ok(first) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") else {
        if let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, "_start") {
            enter(store, &start, fuel, desk, (), &mut used).map_err(fault)?;
        }
        return Ok(());
    };
    enter(store, &first, fuel, desk, (), &mut used).map_err(fault)?;
    if let Ok(main) = instance.get_typed_func::<(u32, u32), u32>(&mut *store, "main") {
        enter(store, &main, fuel, desk, (0, 0), &mut used).map_err(fault)?;
    } else if let Ok(main) = instance.get_typed_func::<(), u32>(&mut *store, "__main_void") {
        enter(store, &main, fuel, desk, (), &mut used).map_err(fault)?;
    }
    Ok(())
}
