from tests.kafka import broker, kafka

__all__ = ["broker", "kafka"]
