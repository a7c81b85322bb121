import {createRouter, createWebHistory} from 'vue-router';
import Product from './Product.vue';
import Shop from './Shop.vue';

// Page views are named by these paths: `/products/:id`, not `/products/7`.
export const router = createRouter({
  history: createWebHistory(),
  routes: [
    {path: '/', component: Shop},
    {path: '/products/:id', component: Product},
  ],
});
