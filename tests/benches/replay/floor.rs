//! The floor: what wasmtime alone needs for the same module and the same calls. Typed functions are kept,
//! the two header maps are set back from a template, nothing is checked that a filter could get wrong, and
//! nothing allocates. A host that follows rules is above it.

use crate::capture::{BODY, REQUEST, RESPONSE};
use wasmtime::error::Context;
use wasmtime::{Caller, Config, Engine, Instance, Linker, Memory, Module, Result, Store, TypedFunc};

/// Fuel that no bench uses up.
const PLENTY: u64 = u64::MAX / 2;

#[derive(Default, Clone)]
struct Map {
    text: Vec<u8>,
    /// Start, end of the name, end.
    fields: Vec<[u32; 3]>,
}

impl Map {
    fn of(fields: &[(&str, &str)]) -> Self {
        let mut map = Self::default();
        for (name, value) in fields {
            map.push(name.as_bytes(), value.as_bytes());
        }
        map
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let at = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.fields.push([at as u32, (at + name.len()) as u32, self.text.len() as u32]);
    }

    fn name(&self, field: [u32; 3]) -> &[u8] {
        &self.text[field[0] as usize..field[1] as usize]
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.fields.iter().position(|f| self.name(*f) == name)
    }

    fn value(&self, index: usize) -> &[u8] {
        let field = self.fields[index];
        &self.text[field[1] as usize..field[2] as usize]
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        let text = |from: u32, to: u32| &self.text[from as usize..to as usize];
        self.fields.iter().map(move |f| (text(f[0], f[1]), text(f[1], f[2])))
    }

    fn remove(&mut self, name: &[u8]) {
        let Self { text, fields } = self;
        fields.retain(|f| &text[f[0] as usize..f[1] as usize] != name);
    }

    fn reset(&mut self, from: &Self) {
        self.text.clone_from(&from.text);
        self.fields.clone_from(&from.fields);
    }
}

#[derive(Default)]
struct Host {
    memory: Option<Memory>,
    allocate: Option<TypedFunc<u32, u32>>,
    config: Vec<u8>,
    request: Map,
    response: Map,
}

impl Host {
    fn map(&mut self, number: u32) -> &mut Map {
        if number == 0 { &mut self.request } else { &mut self.response }
    }
}

/// The module, ready to be called.
pub(crate) struct Floor {
    store: Store<Host>,
    request: Map,
    response: Map,
    create: TypedFunc<(u32, u32), ()>,
    on_request: TypedFunc<(u32, u32, u32), u32>,
    on_response: TypedFunc<(u32, u32, u32), u32>,
    on_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    // A linked filter exports what it uses.
    done: Option<TypedFunc<u32, u32>>,
    log: Option<TypedFunc<u32, ()>>,
    delete: Option<TypedFunc<u32, ()>>,
    fuel: bool,
    next: u32,
}

impl Floor {
    pub(crate) fn new(wasm: &[u8], config: &[u8], fuel: bool) -> Result<Self> {
        let engine = Engine::new(Config::new().consume_fuel(fuel))?;
        let module = Module::new(&engine, wasm)?;
        let mut store = Store::new(&engine, Host { config: config.to_vec(), ..Host::default() });
        if fuel {
            store.set_fuel(PLENTY)?;
        }
        let mut linker = Linker::new(&engine);
        linker.func_wrap("env", "proxy_get_header_map_value", get)?;
        linker.func_wrap("env", "proxy_get_header_map_pairs", pairs)?;
        linker.func_wrap("env", "proxy_add_header_map_value", add)?;
        linker.func_wrap("env", "proxy_replace_header_map_value", replace)?;
        linker.func_wrap("env", "proxy_remove_header_map_value", remove)?;
        linker.func_wrap("env", "proxy_get_buffer_bytes", buffer)?;
        linker.func_wrap("env", "proxy_define_metric", |_: u32, _: u32, _: u32, _: u32| 0u32)?;
        linker.func_wrap("env", "proxy_increment_metric", |_: u32, _: i64| 0u32)?;
        linker.define_unknown_imports_as_traps(&module)?;
        let instance = linker.instantiate(&mut store, &module)?;
        store.data_mut().memory = Some(instance.get_memory(&mut store, "memory").context("no memory")?);
        let allocator = ["malloc", "proxy_on_memory_allocate"];
        let allocator = allocator.iter().find_map(|name| instance.get_typed_func(&mut store, name).ok());
        store.data_mut().allocate = Some(allocator.context("no allocator")?);
        Self::with(store, &instance, fuel)
    }

    fn with(mut store: Store<Host>, instance: &Instance, fuel: bool) -> Result<Self> {
        let s = &mut store;
        let create = instance.get_typed_func::<(u32, u32), ()>(&mut *s, "proxy_on_context_create")?;
        if let Ok(first) = instance.get_typed_func::<(), ()>(&mut *s, "_initialize") {
            first.call(&mut *s, ())?;
        }
        create.call(&mut *s, (1, 0))?;
        if let Ok(configure) = instance.get_typed_func::<(u32, u32), u32>(&mut *s, "proxy_on_configure") {
            let length = s.data().config.len() as u32;
            wasmtime::ensure!(
                configure.call(&mut *s, (1, length))? == 1,
                "the filter refused its configuration"
            );
        }
        Ok(Self {
            create,
            on_request: instance.get_typed_func(&mut *s, "proxy_on_request_headers")?,
            on_response: instance.get_typed_func(&mut *s, "proxy_on_response_headers")?,
            on_body: instance.get_typed_func(&mut *s, "proxy_on_response_body").ok(),
            done: instance.get_typed_func(&mut *s, "proxy_on_done").ok(),
            log: instance.get_typed_func(&mut *s, "proxy_on_log").ok(),
            delete: instance.get_typed_func(&mut *s, "proxy_on_delete").ok(),
            request: Map::of(&REQUEST),
            response: Map::of(&RESPONSE),
            store,
            fuel,
            next: 2,
        })
    }

    /// Plays `count` exchanges; gives the number of request headers that were left, so that nothing is optimised away.
    pub(crate) fn play(&mut self, count: usize) -> Result<usize> {
        let mut left = 0;
        for _ in 0..count {
            let host = self.store.data_mut();
            host.request.reset(&self.request);
            host.response.reset(&self.response);
            if self.fuel {
                self.store.set_fuel(PLENTY)?;
            }
            let id = self.next;
            self.next += 1;
            let s = &mut self.store;
            self.create.call(&mut *s, (id, 1))?;
            self.on_request.call(&mut *s, (id, REQUEST.len() as u32, 1))?;
            left += s.data().request.fields.len();
            self.on_response.call(&mut *s, (id, RESPONSE.len() as u32, 0))?;
            if let Some(on_body) = &self.on_body {
                on_body.call(&mut *s, (id, BODY.len() as u32, 0))?;
                on_body.call(&mut *s, (id, 0, 1))?;
            }
            if let Some(log) = &self.log {
                log.call(&mut *s, id)?;
            }
            if let Some(done) = &self.done {
                done.call(&mut *s, id)?;
            }
            if let Some(delete) = &self.delete {
                delete.call(&mut *s, id)?;
            }
        }
        Ok(left)
    }
}

fn split<'a>(caller: &'a mut Caller<'_, Host>) -> (&'a mut [u8], &'a mut Host) {
    let memory = caller.data().memory.expect("set before any call");
    memory.data_and_store_mut(caller)
}

fn part(memory: &[u8], at: u32, len: u32) -> &[u8] {
    &memory[at as usize..at as usize + len as usize]
}

/// Hands bytes to the filter in memory that it allocates.
fn give(
    caller: &mut Caller<'_, Host>,
    length: usize,
    at: u32,
    size: u32,
    fill: impl FnOnce(&mut Host, &mut [u8]),
) -> Result<u32> {
    let allocate = caller.data_mut().allocate.take().expect("never entered twice");
    let place = if length == 0 { 0 } else { allocate.call(&mut *caller, length as u32)? };
    caller.data_mut().allocate = Some(allocate);
    let (memory, host) = split(caller);
    fill(host, &mut memory[place as usize..place as usize + length]);
    memory[at as usize..at as usize + 4].copy_from_slice(&place.to_le_bytes());
    memory[size as usize..size as usize + 4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(0)
}

fn get(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32, at: u32, size: u32) -> Result<u32> {
    let (memory, host) = split(&mut caller);
    let from = host.map(map);
    let Some(index) = from.find(part(memory, name, len)) else { return Ok(1) };
    let length = from.value(index).len();
    give(&mut caller, length, at, size, |host, out| out.copy_from_slice(host.map(map).value(index)))
}

fn pairs(mut caller: Caller<'_, Host>, map: u32, at: u32, size: u32) -> Result<u32> {
    let length = tamis_abi::pairs::encoded_len(caller.data_mut().map(map).iter());
    give(&mut caller, length, at, size, |host, out| {
        tamis_abi::pairs::encode(host.map(map).iter(), out);
    })
}

fn buffer(mut caller: Caller<'_, Host>, _: u32, _: u32, _: u32, at: u32, size: u32) -> Result<u32> {
    let length = caller.data().config.len();
    give(&mut caller, length, at, size, |host, out| out.copy_from_slice(&host.config))
}

fn add(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32, value: u32, vlen: u32) -> u32 {
    let (memory, host) = split(&mut caller);
    host.map(map).push(part(memory, name, len), part(memory, value, vlen));
    0
}

fn replace(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32, value: u32, vlen: u32) -> u32 {
    let (memory, host) = split(&mut caller);
    let map = host.map(map);
    map.remove(part(memory, name, len));
    map.push(part(memory, name, len), part(memory, value, vlen));
    0
}

fn remove(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32) -> u32 {
    let (memory, host) = split(&mut caller);
    host.map(map).remove(part(memory, name, len));
    0
}
