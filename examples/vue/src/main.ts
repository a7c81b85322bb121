import {init} from '@monitor-kit/browser';
import {monitorVue, vueRoute} from '@monitor-kit/browser/vue';
import {createApp} from 'vue';
import App from './App.vue';
import {router} from './router';

init({
  dsn: import.meta.env.VITE_MONITOR_DSN ?? 'http://demo-key@localhost:8080/shop',
  release: 'vue-example',
  route: vueRoute(router),
});

createApp(App).use(monitorVue()).use(router).mount('#app');
