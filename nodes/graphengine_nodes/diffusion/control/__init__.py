"""Networks that steer sampling: ControlNets, T2I-Adapters, GLIGEN, style models."""
