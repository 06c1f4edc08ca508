//! The life of a chain: start, a new VM after a reload, the end.

use super::builder::{Clock, StageBuilder, Start};
use super::{Action, Context, Desk, FilterSpec, Plugin, Stage, StartError, StartPhase, StartReason};
use crate::FailurePolicy;
use crate::chain::Play;
use crate::coverage::FUEL_FACTOR;
use crate::inject::{Injector, hooks};
use crate::profile::{Profile, since};
use crate::vm::{Allowed, Broke, Failed, Recipe, Used, Vm};
use crate::world::{Random, VirtualClock};
use std::sync::Arc;

/// Longest time that a root context may take to say `proxy_done` at the end (5 s of virtual time; Envoy's
/// drain is longer, but nothing happens in it that this host plays).
const DONE_LIMIT: u64 = 5_000_000_000;

/// A VM and what it takes to make it anew.
pub(crate) struct Slot {
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) vm: Vm,
}

impl Stage {
    pub(super) fn start(builder: StageBuilder) -> Result<Self, StartError> {
        let mut desk = Desk::idle();
        desk.clock = VirtualClock::new(match builder.clock {
            Clock::Recorded => 0,
            Clock::Fixed(nanos) => nanos,
        });
        desk.follows_recording = builder.clock == Clock::Recorded;
        desk.random = Random::new(builder.seed);
        desk.profile = builder.profile.clone();
        desk.level = builder.level;
        desk.proxy = builder.proxy;
        desk.answers = builder.answers;
        let inject = Injector::new(&builder.injected, builder.seed, &mut desk.answers);
        let memory = builder.memory.min(desk.profile.memory_limit);
        let counted = builder.counters.is_some();
        let fuel = if counted { builder.fuel.saturating_mul(FUEL_FACTOR) } else { builder.fuel };
        let mut recipes: Vec<Arc<Recipe>> = Vec::new();
        let mut keys: Vec<(usize, &FilterSpec)> = Vec::new();
        for (filter, spec) in builder.filters.iter().enumerate() {
            if let Some(text) = unknown_to(&desk.profile, spec) {
                let (phase, reason) = (StartPhase::Instantiate, StartReason::Link(text));
                return Err(StartError { filter, name: spec.name.clone(), phase, reason, logs: Vec::new() });
            }
            let known = keys.iter().find(|(_, other)| same_vm(spec, other)).map(|(vm, _)| *vm);
            let vm = known.unwrap_or(recipes.len());
            if known.is_none() {
                let (engine, module, env) = (builder.engine.clone(), spec.module.clone(), spec.env.clone());
                let (allowed, hooks) = (Allowed::new(&spec.allowed_capabilities), Vec::new());
                recipes.push(Arc::new(Recipe { engine, module, memory, fuel, env, allowed, hooks, counted }));
                keys.push((vm, spec));
            }
            let plugin = plugin(spec, vm, &mut desk);
            desk.plugins.push(plugin);
        }
        for (number, recipe) in recipes.iter_mut().enumerate() {
            // Nobody else has it yet.
            if let Some(recipe) = Arc::get_mut(recipe) {
                let of_vm = |filter| desk.plugins.get(filter).is_some_and(|p: &Plugin| p.vm == number);
                recipe.hooks = hooks(&builder.injected, of_vm);
            }
        }
        let (vms, workers) = (recipes.len(), builder.workers);
        let main = (builder.start == Start::LikeEnvoy).then_some(workers);
        let threads = workers + usize::from(main.is_some());
        desk.hire(threads, workers, vms, builder.seed);
        let mut slots: Vec<Option<Slot>> = Vec::new();
        slots.resize_with(threads * vms, || None);
        for thread in main.into_iter().chain(0..workers) {
            desk.sit(thread);
            for filter in 0..desk.plugins.len() {
                let started = start_filter(&recipes, &mut slots, main == Some(thread), filter, &mut desk);
                started.map_err(|(phase, reason)| {
                    let name = desk.plugins[filter].name.clone();
                    StartError { filter, name, phase, reason, logs: std::mem::take(&mut desk.logs) }
                })?;
            }
        }
        desk.sit(0);
        let slots = slots.into_iter().flatten().collect();
        desk.faults.clear();
        let start_logs = std::mem::take(&mut desk.logs);
        desk.made.clear();
        Ok(Stage { slots, desk, begun: false, start_logs, inject, counters: builder.counters })
    }

    /// Hands over what the counters of a VM say.
    pub(super) fn settle_counts(&mut self, number: usize) {
        let Some(counters) = &self.counters else { return };
        // Every worker has the filters in VMs of its own.
        let vms = (self.slots.len() / self.desk.crew.threads()).max(1);
        let mine = |p: &Plugin| p.vm % vms == number % vms;
        let first = self.desk.plugins.iter().position(mine).unwrap_or_default();
        counters.add(first, &self.slots[number].vm.take_counts());
    }

    /// Makes dead VMs anew where the policy says so and the back-off has passed (docs/envoy.md 2.12).
    pub(super) fn revive(&mut self) {
        let thread = self.desk.crew.running();
        for number in 0..self.slots.len() {
            let vm = &self.slots[number].vm;
            if !vm.dead || self.desk.crew.thread_of(number) != thread {
                continue;
            }
            let now = self.desk.clock.wall();
            let backoff = u64::try_from(self.desk.profile.reload_backoff.as_nanos()).unwrap_or(u64::MAX);
            let rested = now.saturating_sub(vm.loaded) >= backoff;
            let reloads = |p: &Plugin| p.vm == number && p.policy == FailurePolicy::Reload;
            let may = vm.ended_by_tool || (rested && self.desk.plugins.iter().any(reloads));
            if !may {
                continue;
            }
            let first = self.desk.plugins.iter().position(|p| p.vm == number).unwrap_or_default();
            self.desk.callouts.forget_numbers(number);
            let fresh = load(&self.slots[number].recipe, number, first, &mut self.desk);
            let fresh = fresh.map_err(|why| (first, why)).and_then(|mut vm| {
                configure_all(&mut vm, number, &mut self.desk)?;
                Ok(vm)
            });
            match fresh {
                Ok(vm) => {
                    self.settle_counts(number);
                    self.slots[number].vm = vm;
                }
                Err((filter, (phase, reason))) => {
                    self.slots[number].vm.loaded = now;
                    self.desk.at.phase = phase.name();
                    let text =
                        format!("the reload of filter `{}` failed: {reason}", self.desk.plugins[filter].name);
                    self.desk.fault(tamis_traffic::FaultKind::DeadVm, Some(filter), text);
                }
            }
        }
    }
}

/// Filters share a VM when module, `vm_id`, VM configuration and environment are the same (docs/envoy.md 1.5).
fn same_vm(a: &FilterSpec, b: &FilterSpec) -> bool {
    a.module.same(&b.module) && a.vm_id == b.vm_id && a.vm_config == b.vm_config && a.env == b.env
}

fn plugin(spec: &FilterSpec, vm: usize, desk: &mut Desk) -> Plugin {
    Plugin {
        name: spec.name.clone(),
        root_id: spec.root_id.clone(),
        vm_id: spec.vm_id.clone(),
        config: spec.config.clone(),
        vm_config: spec.vm_config.clone(),
        vm,
        space: desk.shared.space(&spec.vm_id),
        root: 0,
        tick: 0,
        tick_at: 0,
        status: (0, Vec::new()),
        leaving: false,
        policy: spec.policy,
        allow_on_headers_stop_iteration: spec.allow_on_headers_stop_iteration,
        declared: Vec::new(),
        expressions: Vec::new(),
        expressed: 0,
    }
}

fn load(recipe: &Recipe, number: usize, first: usize, desk: &mut Box<Desk>) -> Result<Vm, Failed> {
    desk.at = super::At { vm: number, ..super::At::default() };
    desk.at.current.filter = first;
    desk.at.effective.filter = first;
    Vm::start(recipe, desk)
}

/// Starts a filter on the running thread, with the VM it lives in unless an earlier filter has.
fn start_filter(
    recipes: &[Arc<Recipe>],
    slots: &mut [Option<Slot>],
    rehearses: bool,
    filter: usize,
    desk: &mut Box<Desk>,
) -> Result<(), Failed> {
    let (number, spare) = (desk.plugins[filter].vm, slots.len());
    let recipe = &recipes[number % recipes.len()];
    if rehearses {
        rehearse(recipe, spare, filter, slots[number].is_none(), desk)?;
    }
    let slot = match &mut slots[number] {
        Some(slot) => slot,
        empty => {
            let vm = load(recipe, number, filter, desk)?;
            empty.insert(Slot { recipe: Arc::clone(recipe), vm })
        }
    };
    configure(&mut slot.vm, filter, desk)
}

/// The base VM, once for each VM, and the filter's canary: both are thrown away without done or delete, and what
/// they asked for is cancelled (docs/envoy.md 1.5). `number` is that of no other VM.
fn rehearse(
    recipe: &Recipe,
    number: usize,
    filter: usize,
    first: bool,
    desk: &mut Box<Desk>,
) -> Result<(), Failed> {
    if first {
        load(recipe, number, filter, desk)?;
    }
    let mut canary = load(recipe, number, filter, desk)?;
    let own = std::mem::replace(&mut desk.plugins[filter].vm, number);
    configure(&mut canary, filter, desk)?;
    let plugin = &mut desk.plugins[filter];
    (plugin.vm, plugin.root, plugin.tick) = (own, 0, 0);
    desk.callouts.cancel(number);
    desk.callouts.forget_numbers(number);
    desk.ready.retain(|(owner, _)| owner.vm != number);
    Ok(())
}

/// Root context, `proxy_on_vm_start` and `proxy_on_configure` for each filter of a VM (docs/envoy.md 1.5: per root).
fn configure_all(vm: &mut Vm, number: usize, desk: &mut Box<Desk>) -> Result<(), (usize, Failed)> {
    for filter in 0..desk.plugins.len() {
        if desk.plugins[filter].vm == number {
            configure(vm, filter, desk).map_err(|why| (filter, why))?;
        }
    }
    Ok(())
}

fn configure(vm: &mut Vm, filter: usize, desk: &mut Box<Desk>) -> Result<(), Failed> {
    let id = vm.next_id();
    let plugin = &mut desk.plugins[filter];
    (plugin.root, plugin.tick, plugin.status) = (id, 0, (0, Vec::new()));
    plugin.declared.clear();
    plugin.expressions.clear();
    plugin.expressed = 0;
    let (vm_size, size) = (plugin.vm_config.len() as u32, plugin.config.len() as u32);
    let number = plugin.vm;
    let context = Context { id, filter, stream: false };
    let mut step = |desk: &mut Box<Desk>, phase: StartPhase| -> Result<(), Failed> {
        desk.at =
            super::At { vm: number, current: context, effective: context, phase: phase.name(), stops: false };
        let mut used = Used::default();
        let ran = match phase {
            StartPhase::VmStart => vm.run(desk, |c| &c.on_vm_start, (id, vm_size), &mut used),
            StartPhase::Configure => vm.run(desk, |c| &c.on_configure, (id, size), &mut used),
            _ => vm.run(desk, |c| &c.on_context_create, (id, 0), &mut used).map(|_| None),
        };
        desk.callouts.failed = false;
        // Nothing that a root context asks for acts on a stream; what it is owed comes as soon as it can.
        for action in std::mem::take(&mut desk.actions) {
            if let Action::Deliver(delivery) = action {
                desk.callouts.add(*delivery);
            }
        }
        match ran {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err((phase, StartReason::Refused)),
            Ok(Some(_)) => Ok(()),
            Err(Broke { kind, text, .. }) => Err((phase, StartReason::Fault { kind, text })),
        }
    };
    step(desk, StartPhase::ContextCreate)?;
    step(desk, StartPhase::VmStart)?;
    step(desk, StartPhase::Configure)
}

/// What an older Envoy refuses of a filter that the newest one starts (docs/envoy.md 2.14).
fn unknown_to(profile: &Profile, spec: &FilterSpec) -> Option<String> {
    let version = profile.version();
    if spec.allow_on_headers_stop_iteration && !profile.has(since::HEADERS_STOP_SETTING) {
        return Some(format!("Envoy {version} does not know `allow_on_headers_stop_iteration`"));
    }
    let import = spec.module.newer_wasi().filter(|_| !profile.has(since::ALL_OF_WASI))?;
    Some(format!("Envoy {version} does not have `{}.{}`, which 1.39 has", import.module, import.name))
}

impl Play<'_> {
    /// The end of all root contexts: done, the wait for `proxy_done`, delete (docs/envoy.md 1.5).
    pub(crate) fn leave(&mut self) {
        for thread in 0..self.desk.crew.threads() {
            self.on(thread, Self::leave_thread);
        }
    }

    fn leave_thread(&mut self) {
        for filter in 0..self.desk.plugins.len() {
            let Some(context) = self.root(filter) else { continue };
            let said = self.root_call(context, "proxy_on_done", |vm, desk, used| {
                vm.run(desk, |c| &c.on_done, (context.id,), used)
            });
            self.desk.plugins[filter].leaving = said == Some(0);
        }
        if self.desk.plugins.iter().any(|p| p.leaving && p.root != 0) {
            let until = self.desk.clock.wall().saturating_add(DONE_LIMIT);
            self.run_until(until);
        }
        for filter in 0..self.desk.plugins.len() {
            let Some(context) = self.root(filter).filter(|_| !self.desk.plugins[filter].leaving) else {
                continue;
            };
            self.root_call(context, "proxy_on_delete", |vm, desk, used| {
                vm.run(desk, |c| &c.on_delete, (context.id,), used)
            });
            self.desk.plugins[filter].root = 0;
        }
    }

    fn root(&self, filter: usize) -> Option<Context> {
        let id = self.desk.plugins[filter].root;
        (id != 0).then_some(Context { id, filter, stream: false })
    }
}
