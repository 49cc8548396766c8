"""The pallets of the runtime, one module each; `chain.runtime.construct` lists them."""
