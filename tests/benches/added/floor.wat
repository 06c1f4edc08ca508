;; The header template's job without any sdk, and without the two callbacks that tell a filter where an exchange begins
;; and ends: what Envoy itself takes for it.
(module
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-tamis-template" "template-value" "x-filtered-by" "tamis-tests")
  (func (export "proxy_abi_version_0_2_1"))
  ;; Only the configuration comes, and nobody reads it.
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $set (i32.const 0) (i32.const 16) (i32.const 16) (i32.const 32) (i32.const 14)))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $set (i32.const 2) (i32.const 46) (i32.const 13) (i32.const 59) (i32.const 11)))
    (i32.const 0)))
