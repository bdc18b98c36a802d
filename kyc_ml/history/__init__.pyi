from .kept_tables import KeptTable as KeptTable
from .partitions import DAY as DAY
from .partitions import Content as Content
from .partitions import Partition as Partition
from .served import Served as Served
from .store import Batch as Batch
from .store import HistoryStore as HistoryStore
from .store import StoreStatus as StoreStatus
