//! The floor: what wasmtime alone needs for the same module and the same calls. Typed functions are kept,
//! the two header maps are set back from a template, nothing is checked that a filter could get wrong, and
//! nothing allocates. A host that follows rules is above it.

use crate::capture::{REQUEST, RESPONSE};
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

    fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let field = self.fields.iter().find(|f| self.name(**f) == name)?;
        Some(&self.text[field[1] as usize..field[2] as usize])
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
    request: Map,
    response: Map,
}

/// The module, ready to be called.
pub(crate) struct Floor {
    store: Store<Host>,
    request: Map,
    response: Map,
    create: TypedFunc<(u32, u32), ()>,
    on_request: TypedFunc<(u32, u32, u32), u32>,
    on_response: TypedFunc<(u32, u32, u32), u32>,
    done: TypedFunc<u32, u32>,
    log: TypedFunc<u32, ()>,
    delete: TypedFunc<u32, ()>,
    fuel: bool,
}

impl Floor {
    pub(crate) fn new(wasm: &[u8], fuel: bool) -> Result<Self> {
        let engine = Engine::new(Config::new().consume_fuel(fuel))?;
        let module = Module::new(&engine, wasm)?;
        let mut store = Store::new(&engine, Host::default());
        let mut linker = Linker::new(&engine);
        linker.func_wrap("env", "proxy_get_header_map_value", get)?;
        linker.func_wrap("env", "proxy_add_header_map_value", add)?;
        linker.func_wrap("env", "proxy_remove_header_map_value", remove)?;
        let instance = linker.instantiate(&mut store, &module)?;
        store.data_mut().memory = Some(instance.get_memory(&mut store, "memory").context("no memory")?);
        store.data_mut().allocate = Some(instance.get_typed_func(&mut store, "proxy_on_memory_allocate")?);
        Self::with(store, &instance, fuel)
    }

    fn with(mut store: Store<Host>, instance: &Instance, fuel: bool) -> Result<Self> {
        let s = &mut store;
        Ok(Self {
            create: instance.get_typed_func(&mut *s, "proxy_on_context_create")?,
            on_request: instance.get_typed_func(&mut *s, "proxy_on_request_headers")?,
            on_response: instance.get_typed_func(&mut *s, "proxy_on_response_headers")?,
            done: instance.get_typed_func(&mut *s, "proxy_on_done")?,
            log: instance.get_typed_func(&mut *s, "proxy_on_log")?,
            delete: instance.get_typed_func(&mut *s, "proxy_on_delete")?,
            request: Map::of(&REQUEST),
            response: Map::of(&RESPONSE),
            store,
            fuel,
        })
    }

    /// Plays `count` exchanges; gives the number of request headers that were left, so that nothing is optimised away.
    pub(crate) fn play(&mut self, count: u64) -> Result<u64> {
        let mut left = 0;
        for number in 0..count {
            let host = self.store.data_mut();
            host.request.reset(&self.request);
            host.response.reset(&self.response);
            if self.fuel {
                self.store.set_fuel(PLENTY)?;
            }
            let id = number as u32 + 2;
            let s = &mut self.store;
            self.create.call(&mut *s, (id, 1))?;
            self.on_request.call(&mut *s, (id, REQUEST.len() as u32, 1))?;
            self.on_response.call(&mut *s, (id, RESPONSE.len() as u32, 0))?;
            self.log.call(&mut *s, id)?;
            self.done.call(&mut *s, id)?;
            self.delete.call(&mut *s, id)?;
            left += self.store.data().request.fields.len() as u64;
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

fn get(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32, at: u32, size: u32) -> Result<u32> {
    let (memory, host) = split(&mut caller);
    let from = if map == 0 { &host.request } else { &host.response };
    let Some(value) = from.find(part(memory, name, len)) else { return Ok(1) };
    let length = value.len();
    let allocate = host.allocate.take().expect("never entered twice");
    let place = allocate.call(&mut caller, length as u32)?;
    caller.data_mut().allocate = Some(allocate);
    let (memory, host) = split(&mut caller);
    let name = (name as usize, len as usize);
    let (before, after) = memory.split_at_mut(place as usize);
    let from = if map == 0 { &host.request } else { &host.response };
    if let Some(value) = from.find(&before[name.0..name.0 + name.1]) {
        after[..length].copy_from_slice(value);
    }
    memory[at as usize..at as usize + 4].copy_from_slice(&place.to_le_bytes());
    memory[size as usize..size as usize + 4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(0)
}

fn add(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32, value: u32, vlen: u32) -> u32 {
    let (memory, host) = split(&mut caller);
    let to = if map == 0 { &mut host.request } else { &mut host.response };
    to.push(part(memory, name, len), part(memory, value, vlen));
    0
}

fn remove(mut caller: Caller<'_, Host>, map: u32, name: u32, len: u32) -> u32 {
    let (memory, host) = split(&mut caller);
    let from = if map == 0 { &mut host.request } else { &mut host.response };
    from.remove(part(memory, name, len));
    0
}
